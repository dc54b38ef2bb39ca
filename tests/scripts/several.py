second = create_machine(machine.source, name="second")
start_all()
serial_stdout_off()
machine.wait_for_unit("multi-user.target")
with subtest("units of a user's manager"):
    machine.succeed("loginctl enable-linger root")
    machine.wait_for_unit("default.target", user="root", timeout=60)
    t.assertEqual(machine.get_unit_property("default.target", "ActiveState", user="root"), "active")
    with t.assertRaisesRegex(AssertionError, "no pending jobs"):
        machine.wait_for_unit("nothing.service", user="root", timeout=60)
with subtest("all end"):
    for each in machines:
        each.wait_for_unit("multi-user.target")
        each.execute("systemctl poweroff", check_output=False)
    join_all()
    t.assertEqual([each.is_up() for each in machines], [False, False])
