from datetime import timedelta

start_all()

with subtest("commands are run until they succeed or fail"):
    machine.succeed("(sleep 0.5; touch /run/there) >&2 &")
    t.assertEqual(machine.wait_until_succeeds("ls /run/there"), "/run/there\n")
    machine.succeed("(sleep 0.5; rm /run/there) >&2 &")
    machine.wait_until_fails("test -e /run/there", timeout=timedelta(minutes=1))
    with t.assertRaisesRegex(AssertionError, "has not come true"):
        machine.wait_until_succeeds("false", timeout=0.3)
    with t.assertRaisesRegex(AssertionError, "has not come true"):
        machine.wait_until_fails("true", timeout=0.3)

with subtest("a try that hangs is tried again"):
    once = "test -e /run/once || { touch /run/once; sleep 1000; }"
    machine.wait_until_succeeds(once, timeout=60, attempt_timeout=0.5)

with subtest("the console is waited for, and each text once"):
    machine.succeed("echo one two >/dev/console; echo two >/dev/console")
    machine.wait_for_console_text("one two$", timeout=60)
    machine.wait_for_console_text("^two$", timeout=60)
    with t.assertRaisesRegex(AssertionError, "has not shown"):
        machine.wait_for_console_text("^two$", timeout=0.2)
    t.assertIn("one two", machine.get_console_log())

with subtest("anything can be tried again"):
    tries = []
    retry(lambda last: tries.append(last) or len(tries) == 3, timeout_seconds=60)
    t.assertEqual(tries, [False, False, False])
    tries.clear()
    with t.assertRaises(AssertionError):
        retry(lambda last: bool(tries.append(last)), timeout_seconds=0.1)
    t.assertEqual(tries[-1], True)
    t.assertNotIn(True, tries[:-1])

with subtest("conditions hold while something is done"):
    machine.succeed("touch /run/holds")

    @polling_condition(seconds_interval=0)
    def it_holds():
        "the file is there"
        machine.succeed("test -e /run/holds")

    it_holds.wait(timeout=60)
    with it_holds:
        machine.succeed("true")
    with t.assertRaisesRegex(AssertionError, "the file is there"):
        with it_holds:
            machine.succeed("rm /run/holds")
            machine.succeed("true")
    machine.succeed("true")

    @polling_condition
    def never():
        return False

    with t.assertRaises(AssertionError):
        never.wait(timeout=0.1)

with subtest("a container has no screen"):
    for method in [machine.screenshot, machine.send_key, machine.wait_for_x]:
        with t.assertRaisesRegex(Exception, "not in a container"):
            method("x")
