start_all()
machine.wait_for_unit("multi-user.target")

with subtest("a unit that has failed is told at once, with its log"):
    machine.succeed("systemd-run --wait --unit=fails sh -c 'echo alas; exit 3' || true")
    with t.assertRaisesRegex(AssertionError, "fails.service.*failed"):
        machine.wait_for_unit("fails.service", timeout=60)

with subtest("a unit that nothing starts is not waited for"):
    with t.assertRaisesRegex(AssertionError, "no pending jobs"):
        machine.wait_for_unit("rescue.target", timeout=60)
    with t.assertRaisesRegex(AssertionError, "no such unit"):
        machine.wait_for_unit("missing.service", timeout=60)

with subtest("a unit that takes its time is waited for, but not for ever"):
    slow = "systemd-run --unit=slow --service-type=notify --property=NotifyAccess=all --no-block"
    machine.succeed(f"{slow} sh -c 'sleep 1; systemd-notify --ready; sleep 1000'")
    with t.assertRaisesRegex(AssertionError, "slow.service is not active in 0.2 s"):
        machine.wait_for_unit("slow.service", timeout=0.2)
    machine.wait_for_unit("slow.service", timeout=60)
    machine.require_unit_state("slow.service")
    t.assertEqual(machine.get_unit_property("slow.service", "SubState"), "running")
    t.assertEqual(machine.get_unit_info("slow.service")["Id"], "slow.service")

with subtest("jobs are started and stopped"):
    t.assertEqual(machine.stop_job("slow.service")[0], 0)
    with t.assertRaises(AssertionError):
        machine.require_unit_state("slow.service")
    status, _ = machine.systemctl("is-active slow.service")
    t.assertNotEqual(status, 0)
