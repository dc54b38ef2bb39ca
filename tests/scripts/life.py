from datetime import timedelta

t.assertFalse(machine.is_up())
machine.start()
machine.wait_for_unit("multi-user.target")
t.assertTrue(machine.is_up())
machine.succeed("touch /root/made")

with subtest("it reboots"):
    machine.succeed("touch /run/before")
    machine.reboot()
    machine.wait_for_unit("multi-user.target")
    machine.fail("test -e /run/before")
    machine.succeed("test -e /root/made")

with subtest("it shuts down, and starts from its image again"):
    machine.shutdown()
    t.assertFalse(machine.is_up())
    machine.start()
    machine.fail("test -e /root/made")

with subtest("it crashes"):
    machine.crash()
    t.assertFalse(machine.is_up())
    machine.succeed("true")

with subtest("it ends by itself"):
    machine.wait_for_unit("multi-user.target", timeout=timedelta(minutes=5))
    machine.execute("systemctl poweroff", check_output=False)
    machine.wait_for_shutdown()
    t.assertFalse(machine.is_up())
