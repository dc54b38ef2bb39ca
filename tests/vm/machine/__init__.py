"""Virtual test hosts: QEMU, its control socket, and the job that a guest runs."""
