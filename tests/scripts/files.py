import pathlib
import tempfile

start_all()
with tempfile.TemporaryDirectory() as name:
    here = pathlib.Path(name)
    (here / "tree").mkdir()
    (here / "tree" / "file").write_bytes(b"a\xff\0b")

    machine.copy_from_host(str(here / "tree"), "/srv/new/place")
    machine.succeed("test $(stat -c %u:%g /srv/new/place/file) = 0:0")
    machine.copy_from_host(str(here / "tree" / "file"), "/srv/new/place/file")
    machine.copy_from_host_via_shell(str(here / "tree" / "file"), "/srv/shell/file")
    machine.succeed("cmp /srv/new/place/file /srv/shell/file")

    driver.out_dir = machine.out_dir = here / "out"
    machine.copy_from_machine("/srv/new/place", "results")
    copied = here / "out" / "results" / "place" / "file"
    t.assertEqual(copied.read_bytes(), b"a\xff\0b")
    machine.copy_from_vm("/srv/shell/file")
    t.assertEqual((here / "out" / "file").read_bytes(), b"a\xff\0b")

with t.assertRaises(Exception):
    machine.copy_from_host("/nowhere", "/root/nowhere")
