start_all()

with subtest("commands have a status and an output"):
    t.assertEqual(machine.execute("echo out; echo err >&2; exit 3"), (3, "out\n"))
    t.assertEqual(machine.execute("echo out; exit 3", check_return=False), (-1, "out\n"))
    t.assertEqual(machine.execute("sleep 1000", check_output=False), (-2, ""))
    t.assertEqual(machine.succeed("echo a", "printf b"), "a\nb")
    t.assertEqual(machine.fail("echo c; false"), "c\n")

with subtest("the shell is strict"):
    machine.fail("false | true")
    machine.fail("false; true")
    machine.fail("echo $unset_variable")

with subtest("what was not asked for is told"):
    with t.assertRaises(AssertionError):
        machine.succeed("exit 1")
    with t.assertRaises(AssertionError):
        machine.fail("true")

with subtest("what is left in the background goes on"):
    machine.succeed("sleep 4321 >&2 &")
    machine.succeed("pgrep -f 'sleep 4321'")
    machine.succeed("pgrep -f 'sleep 1000'")

with subtest("a command that takes too long is killed with all it has started"):
    status, output = machine.execute("echo before; sleep 987 & sleep 987", timeout=0.5)
    t.assertEqual((status, output), (124, "before\n"))
    machine.fail("pgrep -f 'sleep 987'")

with subtest("output need not be text"):
    t.assertEqual(machine.succeed(r"printf 'a\377b'"), "a\ufffdb")

with subtest("machines sleep by their clock"):
    machine.sleep(1)

with subtest("output has a limit, and a command that reaches it is told"):
    with t.assertRaisesRegex(Exception, "wrote 70000000 bytes.*redirect"):
        machine.succeed("head -c 70000000 /dev/zero")
