"""Tests of what needs no machine."""

import io
import tempfile
import threading
import unittest
from datetime import timedelta
from pathlib import Path

from nsrun_driver import errors, moments, script
from nsrun_driver.conditions import PollingCondition
from nsrun_driver.driver import Machine, identifier
from nsrun_driver.log import ConsoleText, Logger, plain
from nsrun_driver.main import machines
from nsrun_driver.screen import NAMES


class Moments(unittest.TestCase):
    def test_times_are_seconds_or_deltas(self):
        self.assertEqual(moments.microseconds(1.5), 1_500_000)
        self.assertEqual(moments.microseconds(timedelta(minutes=1)), 60_000_000)
        self.assertEqual(moments.microseconds(-1), 0)
        self.assertIsNone(moments.microseconds(None))

    def test_the_last_try_knows_that_it_is(self):
        tries = []
        with self.assertRaisesRegex(errors.WaitTimedOut, "it has not come true"):
            moments.retry(lambda last: bool(tries.append(last)), 0.05, what="it")
        self.assertEqual((tries[0], tries[-1]), (False, True))
        self.assertEqual(tries.count(True), 1)

    def test_the_last_try_may_succeed(self):
        moments.retry(lambda last: last, 0.05)


class Console(unittest.TestCase):
    def test_lines_and_characters_may_come_in_pieces(self):
        console = ConsoleText()
        self.assertEqual(console.add(b"on"), [])
        self.assertEqual(console.add(b"e\r\ntw\xc3"), ["one"])
        self.assertEqual(console.add(b"\xb6\nthr"), ["tw\u00f6"])
        self.assertEqual(console.text(), "one\ntw\u00f6\nthr")

    def test_each_text_is_found_once(self):
        console = ConsoleText()
        console.add(b"one\ntwo\none\n")
        self.assertTrue(console.wait_for("^one$", 0))
        self.assertTrue(console.wait_for("^one$", 0))
        self.assertFalse(console.wait_for("^one$", 0))

    def test_what_comes_later_is_waited_for(self):
        console = ConsoleText()
        later = threading.Timer(0.05, console.add, [b"late\n"])
        later.start()
        self.assertTrue(console.wait_for("late", 30))
        later.join()

    def test_a_terminal_is_not_changed_by_what_is_shown(self):
        self.assertEqual(plain("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x9b2J"), "red x2J")


class Conditions(unittest.TestCase):
    def make(self, function, **options):
        return PollingCondition(function, list, Logger(io.StringIO()), **options)

    def test_one_that_says_nothing_holds_unless_it_raises(self):
        def raises():
            raise ValueError("no")

        self.assertTrue(self.make(lambda: None).check())
        self.assertTrue(self.make(lambda: True).check())
        self.assertFalse(self.make(lambda: False).check())
        self.assertFalse(self.make(raises).check())

    def test_it_is_not_checked_more_often_than_it_should_be(self):
        calls = []
        condition = self.make(lambda: bool(calls.append(1)) or None, seconds_interval=1000)
        condition.check()
        condition.check()
        self.assertEqual(len(calls), 1)

    def test_it_is_called_by_its_documentation(self):
        def named():
            """is
            fine"""
            return False

        with self.assertRaisesRegex(AssertionError, "is fine"):
            self.make(named).maybe_raise()


class Scripts(unittest.TestCase):
    def test_the_lines_that_led_to_an_error_are_told(self):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "s.py"
            path.write_text("def f():\n    given(1)\n\nf()\n")
            read = script.Script(path)
        lines = []
        try:
            read.run({"given": lambda x: x / 0})
        except ZeroDivisionError as error:
            lines = read.where(error)
        self.assertEqual(lines, [f"{path}:4: f()", f"{path}:2: given(1)"])

    def test_machines_are_named_or_the_machine(self):
        self.assertEqual(machines(["web"]), {"machine": "web"})
        self.assertEqual(machines(["a=b", "c=./d=e"]), {"a": "b", "c": "./d=e"})
        with self.assertRaises(errors.MachineError):
            machines(["a=b", "a=c"])
        self.assertEqual(identifier("web-1.x"), "web_1_x")

    def test_methods_of_a_screen_refuse(self):
        for name in NAMES:
            with self.assertRaisesRegex(errors.NotInAContainer, name):
                getattr(Machine, name)(None)


if __name__ == "__main__":
    unittest.main()
