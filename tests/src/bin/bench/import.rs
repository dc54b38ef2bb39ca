//! Unpacking the demo image, in memory and on disk.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nsrun_tests::done::run;
use nsrun_tests::sandbox::remove_tree;
use nsrun_tests::{Must, image, nsrun, patience};

use crate::host::{Cost, Host, peer};
use crate::report::{Race, Report};

pub(crate) fn measure(host: &Host, rounds: usize, report: &mut Report) {
    let rounds = rounds.div_ceil(6);
    let demo = image::artefact(&["demo"]);
    let plain = host.sandbox.dir().join("plain.tar.xz");
    pack_without_index(&demo, &plain);
    let program = peer("systemd-import");
    let disk = tempfile::tempdir_in("/var/tmp").must("make a directory on disk");
    let places = [("memory", host.sandbox.dir()), ("disk", disk.path())];
    for (place, dir) in places {
        let mut race = Race::new(&format!("import of the demo tarball, in {place}"));
        let mut cpu = Race::new(&format!("its CPU time, in {place}"));
        let mut other = Race::new(&format!("the same without pixz's index, in {place}"));
        for _ in 0..rounds {
            let ours = import(host, dir, &demo);
            let pipe = xz_and_tar(host, dir, &demo);
            race.add("nsrun", ours.wall);
            race.add("xz -T0 | tar", pipe.wall);
            cpu.add("nsrun", ours.cpu);
            cpu.add("xz -T0 | tar", pipe.cpu);
            other.add("nsrun", import(host, dir, &plain).wall);
            if let Some(program) = &program {
                let cost = systemd_import(host, program, dir, &plain);
                other.add("systemd-import", cost.wall);
            }
        }
        let factor = if place == "memory" { 0.75 } else { 1.0 };
        report.race(&race);
        report.target(&race, "xz -T0 | tar", 1.0, Duration::ZERO);
        report.race(&cpu);
        report.target(&cpu, "xz -T0 | tar", 1.1, Duration::ZERO);
        report.race(&other);
        report.target(&other, "systemd-import", factor, Duration::ZERO);
    }
}

/// The same tar, cut off after its end mark and packed without the index that pixz adds.
fn pack_without_index(demo: &Path, target: &Path) {
    let plain = target.with_extension("");
    let mut unpack = nsrun::plain("/bin/sh");
    unpack.args(["-c", r#"xz -T0 -dc "$1" >"$2""#, "unpack"]);
    run(unpack.arg(demo).arg(&plain), patience(300)).success();
    let end = end_of_archive(&plain);
    let file = File::options().write(true).open(&plain);
    file.and_then(|file| file.set_len(end)).must("cut the tar");
    let mut pack = nsrun::plain("/usr/bin/pixz");
    run(pack.arg("-t").arg(&plain).arg(target), patience(300)).success();
    std::fs::remove_file(&plain).must("remove the plain tar");
}

/// Where the two zero blocks after the last entry end.
fn end_of_archive(path: &Path) -> u64 {
    let mut archive = tar::Archive::new(File::open(path).must("open the plain tar"));
    let last = archive.entries().must("read the plain tar").last();
    let last = last.must("find the last entry").must("read the last entry");
    let data = last.raw_file_position() + last.size();
    data.next_multiple_of(512) + 1024
}

fn import(host: &Host, dir: &Path, archive: &Path) -> Cost {
    let root = fresh(dir);
    let mut command = host.sandbox.command(&["import", "--quiet"]);
    command.arg("--image-root").arg(&root);
    measured(host, &root, command.arg(archive).arg("bench"))
}

fn xz_and_tar(host: &Host, dir: &Path, archive: &Path) -> Cost {
    let root = fresh(dir);
    let mut command = nsrun::plain("/bin/sh");
    command.args([
        "-c",
        r#"xz -T0 -dc "$1" | tar -x --numeric-owner -p -C "$2""#,
        "unpack",
    ]);
    measured(host, &root, command.arg(archive).arg(&root))
}

fn systemd_import(host: &Host, program: &Path, dir: &Path, archive: &Path) -> Cost {
    let root = fresh(dir);
    let mut command = nsrun::plain(program);
    command
        .arg("tar")
        .arg(format!("--image-root={}", root.display()));
    measured(host, &root, command.arg(archive).arg("bench"))
}

fn measured(host: &Host, root: &Path, command: &mut Command) -> Cost {
    let cost = host.cost(command);
    remove_tree(root);
    cost
}

/// An empty image root.
fn fresh(dir: &Path) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let root = dir.join("bench-images");
    let made = std::fs::DirBuilder::new().mode(0o700).create(&root);
    made.must("make an image root");
    root
}
