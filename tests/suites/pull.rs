//! `nsrun pull`: from servers that work and servers that do not; nothing unchecked is published.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::archive::Archive;
use nsrun_tests::done::{Done, Running, run};
use nsrun_tests::{Must, Sandbox, nsrun, patience, rng, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// A directory with archives and their checksums.
struct Place<'a> {
    sandbox: &'a Sandbox,
}

/// A web server that serves it.
struct Server {
    _running: Running,
    base: String,
}

fn shell(dir: &Path, script: &str) -> Done {
    let mut command = nsrun::plain("/bin/sh");
    command.args(["-ec", script]).current_dir(dir);
    run(command, patience(60)).success()
}

impl<'a> Place<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let dir = sandbox.dir().join("www/a");
        fs::create_dir_all(&dir).must("make a directory to serve");
        let noise: String = (0..40_000).map(|_| fastrand::alphanumeric()).collect();
        let archive = Archive::image().file("noise", noise.as_bytes()).end();
        fs::write(dir.join("web.tar"), archive).must("write an archive");
        shell(
            &dir,
            "xz -k web.tar; gzip -k web.tar; cp web.tar other.tar; cp web.tar bare.tar
             sha256sum web.tar web.tar.xz >SHA256SUMS
             sha256sum web.tar.gz >web.tar.gz.sha256
             printf '%064d  other.tar\n' 7 >>SHA256SUMS",
        );
        Self { sandbox }
    }

    fn serve(&self, tls: &[&str]) -> Server {
        let port_file = self.sandbox.dir().join(format!("port{}", tls.len()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/web.py");
        let mut command = nsrun::plain("/usr/bin/python3");
        command.arg(script).arg(self.sandbox.dir().join("www"));
        command
            .arg(&port_file)
            .args(tls)
            .current_dir(self.sandbox.dir());
        let running = Running::start(command);
        let port = wait_until(patience(30), "the web server's port", || {
            fs::read_to_string(&port_file).ok()
        });
        let scheme = if tls.is_empty() { "http" } else { "https" };
        Server {
            _running: running,
            base: format!("{scheme}://localhost:{port}"),
        }
    }

    fn sum(&self, file: &str) -> String {
        let done = shell(
            &self.sandbox.dir().join("www/a"),
            &format!("sha256sum {file}"),
        );
        done.stdout[..64].to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.sandbox.command(&["--json", "pull"]);
        command.args(words);
        command
    }

    fn pull(&self, words: &[&str]) -> Done {
        run(self.command(words), patience(60))
    }

    #[track_caller]
    fn assert_pulled(&self, words: &[&str], name: &str) {
        let report: Value = self.pull(words).success().json();
        assert_eq!(report["name"], name);
        let root = self.sandbox.image_root();
        assert!(root.join(name).join("sbin/init").exists(), "{report}");
        let _ = self.sandbox.nsrun(&["remove", name]).success();
    }

    #[track_caller]
    fn assert_refused(&self, words: &[&str], status: i32, why: &str) {
        let _ = self.pull(words).expect_status(status).expect_stderr(why);
        let left = fs::read_dir(self.sandbox.image_root()).must("read the image root");
        assert_eq!(left.count(), 0, "{words:?}: something is left");
    }
}

#[test]
fn an_archive_is_checked_against_the_list_beside_it() {
    let sandbox = Sandbox::new();
    let place = Place::new(&sandbox);
    let server = place.serve(&[]);
    let at = |path: &str| format!("{}/{path}", server.base);
    place.assert_pulled(&[&at("a/web.tar")], "web");
    place.assert_pulled(&[&at("a/web.tar.xz"), "named"], "named");
    place.assert_pulled(&[&at("a/web.tar.gz?key=value")], "web");
    place.assert_pulled(&[&at("redirect/a/web.tar")], "web");
    place.assert_pulled(&[&at("chunked/a/web.tar.xz")], "web");
    place.assert_refused(&[&at("a/other.tar")], 6, "its SHA-256 is ");
    place.assert_refused(&[&at("a/bare.tar")], 6, "there is no checksum for bare.tar");
    place.assert_pulled(&[&at("a/bare.tar"), "--verify=no"], "bare");
    place.assert_pulled(&[&at("a/other.tar"), "--verify=no"], "other");
    let sum = place.sum("bare.tar");
    let given = format!("--sha256={}", sum.to_uppercase());
    place.assert_pulled(&[&at("a/bare.tar"), &given], "bare");
    let wrong = format!("--sha256={}", "0".repeat(64));
    place.assert_refused(
        &[&at("a/web.tar"), &wrong],
        6,
        &format!("is {sum}, not 0000"),
    );
    place.assert_refused(&[&at("a/none.tar"), "--verify=no"], 3, "no such file");
}

#[test]
fn what_does_not_arrive_whole_is_not_published() {
    let sandbox = Sandbox::new();
    let place = Place::new(&sandbox);
    let server = place.serve(&[]);
    let at = |path: &str| format!("{}/{path}", server.base);
    for verify in ["--verify=no", "--verify=checksum"] {
        let cut = place.pull(&[&at("cut/a/web.tar"), verify]).expect_status(1);
        let _ = cut.expect_stderr("cannot read from the server");
        // Without a length the archive's own end mark tells.
        place.assert_refused(&[&at("silent/a/web.tar"), verify], 6, "web.tar");
    }
    let padded = sandbox.dir().join("www/a/padded.tar");
    let mut bytes = fs::read(sandbox.dir().join("www/a/web.tar")).must("read");
    let whole = bytes.len();
    bytes.resize(whole * 2 + 1024, 0);
    fs::write(&padded, bytes).must("write an archive with padding");
    shell(
        &sandbox.dir().join("www/a"),
        "sha256sum padded.tar >padded.tar.sha256",
    );
    // All of the archive comes through, only the padding is cut: the checksum notices.
    place.assert_refused(&[&at("silent/a/padded.tar")], 6, "its SHA-256 is ");
    place.assert_pulled(&[&at("a/padded.tar")], "padded");
}

#[test]
fn https_needs_a_certificate_that_is_trusted() {
    let sandbox = Sandbox::new();
    let place = Place::new(&sandbox);
    shell(
        sandbox.dir(),
        "key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30'
         openssl req -x509 $key -subj /CN=authority -keyout ca.key -out ca.pem \
             -addext basicConstraints=critical,CA:TRUE
         openssl req $key -subj /CN=localhost -keyout server.key -out server.csr
         printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >ext
         openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
             -extfile ext -out server.pem",
    );
    let server = place.serve(&["server.pem", "server.key"]);
    let at = |path: &str| format!("{}/{path}", server.base);
    let authority = sandbox.dir().join("ca.pem");
    let trusting = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("SSL_CERT_FILE", &authority);
        run(command, patience(60))
    };
    let done = place.pull(&[&at("a/web.tar")]).expect_status(1);
    let _ = done
        .expect_stderr("certificate")
        .expect_stderr("hint: SSL_CERT_FILE=");
    let _ = trusting(&[&at("a/web.tar")]).success();
    let other_name = at("a/web.tar").replace("localhost", "127.0.0.1");
    let done = trusting(&[&other_name, "other"]).expect_status(1);
    let _ = done.expect_stderr("certificate");
    let done = trusting(&[&at("to-http/web.tar"), "plain", "--verify=no"]).expect_status(1);
    let _ = done.expect_stderr("redirects to a place that is not encrypted");
    let images = fs::read_dir(sandbox.image_root()).must("read the image root");
    assert_eq!(images.count(), 1, "one image was pulled");
}

#[test]
fn a_file_on_this_host_will_do() {
    let sandbox = Sandbox::new();
    let place = Place::new(&sandbox);
    let at = |file: &str| format!("file://{}/www/a/{file}", sandbox.dir().display());
    place.assert_pulled(&[&at("web.tar.xz")], "web");
    place.assert_pulled(&[&at("web.tar.gz")], "web");
    place.assert_refused(&[&at("other.tar")], 6, "its SHA-256 is ");
    place.assert_refused(&[&at("bare.tar")], 6, "there is no checksum");
    place.assert_pulled(&[&at("bare.tar"), "--verify=no"], "bare");
    place.assert_refused(&[&at("none.tar")], 3, "no such file");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_fetched() {
    let sandbox = Sandbox::new();
    let place = Place::new(&sandbox);
    for words in [
        &["web.tar"][..],
        &["ftp://localhost/web.tar"],
        &["http://localhost/"],
        &["http://localhost/web.tar", "a/b"],
        &["http://localhost/web.tar", "--verify=signature"],
        &["http://localhost/web.tar", "--sha256=12"],
    ] {
        let _ = place.pull(words).expect_status(2);
    }
    let closed = "http://localhost:1/web.tar";
    let done = place.pull(&[closed]).expect_status(1);
    let _ = done.expect_stderr("connection refused");
    let done = place.pull(&["http://user:secret@nowhere.invalid/web.tar"]);
    assert!(!done.stderr.contains("secret"), "{done}");
    let _ = done.expect_status(1);
    fs::create_dir(sandbox.image_root().join("web")).must("make an image");
    let _ = place.pull(&[closed]).expect_status(4);
}

#[test]
fn a_killed_pull_leaves_nothing_that_the_next_command_does_not_remove() {
    let sandbox = Sandbox::new();
    let place = Place::new(&sandbox);
    let server = place.serve(&[]);
    let url = format!("{}/a/web.tar.xz", server.base);
    let mut random = rng::seeded("pull");
    for _ in 0..10 {
        let mut running = Running::start(place.command(&[&url]));
        sleep(Duration::from_micros(random.u64(..60_000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(20));
        wait_until(patience(20), "a clean image root", || {
            let _ = sandbox.nsrun(&["clean"]).success();
            let mut left = fs::read_dir(sandbox.image_root()).must("read the image root");
            left.all(|entry| entry.must("read").file_name() == "web")
                .then_some(())
        });
        let _ = sandbox.nsrun(&["clean", "--all"]).success();
    }
}
