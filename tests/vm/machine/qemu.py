"""A QEMU process with its disks, from a cold start or from a saved memory."""

import os
import subprocess
import time

from .qmp import Qmp, QmpError

MEMORY_MIB = 1024
CPUS = 2


class VmError(Exception):
    """The machine failed, as opposed to the command in it."""


class Tools:
    """Programs of the tool root, run by the root's own loader."""

    def __init__(self, root: str) -> None:
        self.root = root

    def command(self, program: str, *args: str) -> list[str]:
        """The command line of a program given by its path in the root."""
        loader = self.root + "/usr/lib64/ld-linux-x86-64.so.2"
        libraries = self.root + "/usr/lib/x86_64-linux-gnu"
        return [loader, "--library-path", libraries, self.root + program, *args]

    def overlay(self, path: str, base: str, form: str) -> None:
        """Makes a disk image that keeps what is written and reads the rest from `base`."""
        args = ["create", "-q", "-f", "qcow2", "-b", base, "-F", form, path]
        subprocess.run(self.command("/usr/bin/qemu-img", *args), check=True)


class Machine:
    """One virtual host. A context manager: the processes end with it."""

    def __init__(self, tools: Tools, kernel: str, disk: str, work: str) -> None:
        self._tools = tools
        self._work = work
        self._kernel = kernel
        self._disk = disk
        self._processes: list[subprocess.Popen] = []
        self.qmp: Qmp | None = None

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def start(self, incoming: bool = False) -> None:
        """Starts QEMU: cold, or waiting for a saved memory."""
        self._spawn("qemu", self._qemu_command() + (["-incoming", "defer"] if incoming else []))
        self.qmp = Qmp(self._file("qmp"))

    def restore(self, memory: str) -> None:
        """Loads the memory. It is mapped, so that pages are read when they are used."""
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": "mapped-ram", "state": True}])
        self.qmp("migrate-incoming", uri="file:" + memory)
        while self.qmp("query-status")["status"] == "inmigrate":
            time.sleep(0.005)
        self.qmp("cont")

    def save(self, memory: str) -> None:
        """Stops the machine, writes its memory and ends it."""
        self.qmp("stop")
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": "mapped-ram", "state": True}])
        self.qmp("migrate-set-parameters", **{"max-bandwidth": 10**10})
        self.qmp("migrate", uri="file:" + memory)
        while (status := self.qmp("query-migrate").get("status")) != "completed":
            if status == "failed":
                raise VmError("cannot save the machine's memory")
            time.sleep(0.05)
        self.qmp("quit")
        self._processes[0].wait()

    def share(self, directory: str) -> None:
        """Plugs in `directory` as the guest's share. It cannot be part of a saved machine."""
        socket = self._file("share")
        options = [f"--socket-path={socket}", f"--shared-dir={directory}"]
        options += ["--sandbox=none", "--cache=auto", "--xattr"]
        self._spawn("virtiofsd", self._tools.command("/usr/libexec/virtiofsd", *options))
        end = time.monotonic() + 20
        while not os.path.exists(socket):
            if time.monotonic() > end:
                raise VmError("virtiofsd does not start")
            time.sleep(0.005)
        address = {"type": "unix", "data": {"path": socket}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        self.qmp("chardev-add", id="share", backend=backend)
        self.qmp("device_add", driver="vhost-user-fs-pci", id="share0", chardev="share", tag="host")

    def plug_disk(self, number: int, base: str) -> None:
        """Plugs in a raw image as a further disk; what is written to it is dropped at the end."""
        overlay = self._file(f"disk{number}")
        self._tools.overlay(overlay, os.path.abspath(base), "raw")
        node = {"driver": "qcow2", "node-name": f"disk{number}"}
        node["file"] = {"driver": "file", "filename": overlay}
        node["cache"] = {"direct": False, "no-flush": True}
        self.qmp("blockdev-add", **node)
        self.qmp("device_add", driver="virtio-blk-pci", id=f"blk{number}", drive=f"disk{number}")

    def alive(self) -> bool:
        """Whether QEMU still runs."""
        return self._processes[0].poll() is None

    def console(self) -> str:
        """What the guest printed on its serial console."""
        return self._read("console")

    def story(self) -> str:
        """All that may explain a failure."""
        parts = [("qemu", "qemu.log"), ("virtiofsd", "virtiofsd.log"), ("console", "console")]
        return "\n".join(f"{name}: {self._read(file)[-3000:]}" for name, file in parts)

    def _file(self, name: str) -> str:
        return os.path.join(self._work, name)

    def _read(self, name: str) -> str:
        try:
            with open(self._file(name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _spawn(self, name: str, command: list[str]) -> None:
        with open(self._file(name + ".log"), "w") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)

    def _qemu_command(self) -> list[str]:
        root = self._tools.root
        # Emulated, the time stamp counter is the host's, and its rate cannot be found out.
        kernel_line = (
            "console=ttyS0 quiet loglevel=4 panic=-1 systemd.show_status=0 systemd.getty_auto=0 "
            "mitigations=off nokaslr audit=0 clocksource=acpi_pm tsc=unstable random.trust_cpu=1"
        )
        # Nehalem and pc are what a saved machine can count on everywhere; what a test host does not
        # need is left out.
        return self._tools.command(
            "/usr/bin/qemu-system-x86_64",
            *["-L", root + "/usr/share/qemu", "-L", root + "/usr/share/seabios"],
            *["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
            *["-M", "pc,vmport=off,hpet=off,usb=off,memory-backend=memory"],
            *["-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on"],
            *["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"],
            *["-smp", str(CPUS), "-m", str(MEMORY_MIB)],
            *["-kernel", self._kernel + "/vmlinux", "-initrd", self._kernel + "/initrd.cpio"],
            *["-append", kernel_line],
            *["-drive", f"file={self._disk},format=qcow2,if=none,id=root,cache=unsafe"],
            *["-device", "virtio-blk-pci,drive=root", "-device", "virtio-rng-pci"],
            *["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="],
            *["-serial", "file:" + self._file("console")],
            *["-qmp", f"unix:{self._file('qmp')},server=on,wait=off"],
        )


__all__ = ["Machine", "QmpError", "Tools", "VmError"]
