t.assertEqual([each.name for each in machines], ["server", "client"])
start_all()
server.wait_for_unit("nginx.service")

with subtest("they know each other by name"):
    client.succeed("ping -c 1 -W 5 server")
    client.succeed("ping -6 -c 1 -W 5 2001:db8:1::2")
    client.wait_for_open_port(8888, "server", timeout=60)
    t.assertIn("hello from the container", client.succeed("curl -s http://server:8888/"))

with subtest("numbers are by the order of the names"):
    t.assertIn("192.168.1.1/24", client.succeed("ip -4 -o address show dev eth1"))
    t.assertIn("192.168.1.2/24", server.succeed("ip -4 -o address show dev eth1"))

with subtest("one is cut off, and no longer"):
    server.block()
    client.fail("ping -c 1 -W 1 server")
    server.succeed("true")
    server.unblock()
    client.wait_until_succeeds("ping -c 1 -W 1 server", timeout=60)

with subtest("names are known after a reboot, too"):
    client.reboot()
    client.succeed("ping -c 1 -W 5 server")
