import socket
import urllib.request

start_all()
machine.wait_for_unit("nginx.service")

with subtest("ports open and close"):
    machine.wait_for_open_port(8888)
    machine.wait_for_open_port(8888, "127.0.0.1")
    machine.wait_for_closed_port(9)
    machine.succeed("systemctl stop nginx")
    machine.wait_for_closed_port(8888, timeout=60)
    with t.assertRaisesRegex(AssertionError, "port 8888 of localhost is not open in 0.3 s"):
        machine.wait_for_open_port(8888, timeout=0.3)
    machine.succeed("(sleep 0.5; systemctl start nginx) >&2 &")
    machine.wait_for_open_port(8888, timeout=60)
    with t.assertRaisesRegex(AssertionError, "is open in 0.3 s"):
        machine.wait_for_closed_port(8888, timeout=0.3)

with subtest("files come"):
    machine.succeed("(sleep 0.5; touch '/run/a b') >&2 &")
    machine.wait_for_file("/run/a b", timeout=60)
    with t.assertRaisesRegex(AssertionError, "file /nowhere is not there"):
        machine.wait_for_file("/nowhere", timeout=0.3)

with subtest("sockets in the file system come"):
    machine.wait_for_open_unix_socket("/run/dbus/system_bus_socket", timeout=60)
    machine.wait_for_open_unix_socket("/run/systemd/journal/dev-log", True, timeout=60)
    for datagram, name in [(True, "/run/dbus/system_bus_socket"), (False, "/run/systemd/journal/dev-log")]:
        with t.assertRaisesRegex(AssertionError, "nobody listens at"):
            machine.wait_for_open_unix_socket(name, datagram, timeout=0.3)

with subtest("a port is forwarded"):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    machine.forward_port(port, 8888)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        t.assertIn(b"hello from the container", answer.read())
    with t.assertRaisesRegex(Exception, "cannot listen"):
        machine.forward_port(port, 8888)

with subtest("without links there is nothing to cut"):
    with t.assertRaisesRegex(Exception, "no link"):
        machine.block()

with subtest("the console is typed at"):
    machine.send_console("root\n")
    machine.wait_for_console_text("Password:", timeout=60)
