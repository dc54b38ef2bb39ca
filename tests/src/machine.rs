//! A machine that a test boots, looks into, and is rid of at the end.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::console::Console;
use crate::done::{Done, Running, run};
use crate::notify::Notify;
use crate::sandbox::Sandbox;
use crate::wait::{patience, poll};

/// How a machine is started.
#[derive(Debug)]
pub struct Boot<'a> {
    sandbox: &'a Sandbox,
    image: String,
    options: Vec<String>,
    env: Vec<(String, String)>,
}

/// A machine under `nsrun boot`. When dropped, it is stopped by force if it still runs.
#[derive(Debug)]
pub struct Machine<'a> {
    sandbox: &'a Sandbox,
    name: String,
    front: Front,
    notify: Notify,
}

#[derive(Debug)]
enum Front {
    Plain(Running),
    Terminal(Console),
}

impl Sandbox {
    /// Prepares to boot an image of the image root, which lends the machine its name.
    #[must_use]
    pub fn boot(&self, image: &str) -> Boot<'_> {
        Boot {
            sandbox: self,
            image: image.to_owned(),
            options: Vec::new(),
            env: Vec::new(),
        }
    }
}

impl<'a> Boot<'a> {
    /// Adds options of `nsrun boot`.
    #[must_use]
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(ToString::to_string));
        self
    }

    /// Sets a variable in the environment of `nsrun`.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The command line, without a notification socket.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.sandbox.command(&["boot"]);
        command.args(&self.options).arg(&self.image);
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts without a terminal.
    #[track_caller]
    #[must_use]
    pub fn start(self) -> Machine<'a> {
        self.start_as(|command| Front::Plain(Running::start(command)))
    }

    /// Starts on a terminal.
    #[track_caller]
    #[must_use]
    pub fn start_on_console(self) -> Machine<'a> {
        self.start_as(|command| Front::Terminal(Console::start(&command)))
    }

    /// Starts without a terminal and waits until the machine is up.
    #[track_caller]
    #[must_use]
    pub fn up(self) -> Machine<'a> {
        let mut machine = self.start();
        machine.wait_ready();
        machine
    }

    #[track_caller]
    fn start_as(self, start: impl FnOnce(Command) -> Front) -> Machine<'a> {
        let socket = format!("notify-{:08x}", fastrand::u32(..));
        let notify = Notify::bind(&self.sandbox.dir().join(socket));
        let mut command = self.command();
        command.env("NOTIFY_SOCKET", notify.path());
        Machine {
            sandbox: self.sandbox,
            name: self.image,
            front: start(command),
            notify,
        }
    }
}

impl Machine<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it runs.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox
    }

    /// Waits for `READY=1`.
    ///
    /// # Panics
    /// At the deadline or when the machine ends before, with all output.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        self.wait_notice("READY=1");
    }

    /// Waits for a line that the machine's manager sends, such as `STATUS=`.
    ///
    /// # Panics
    /// At the deadline or when the machine ends before, with all output.
    #[track_caller]
    pub fn wait_notice(&mut self, line: &str) {
        let front = &mut self.front;
        let came = self
            .notify
            .wait_for(line, patience(90), || front.try_status().is_some());
        assert!(came, "{line} has not come; {}", self.output());
    }

    /// Notification lines received so far.
    #[must_use]
    pub fn notices(&mut self) -> &[String] {
        self.notify.lines()
    }

    /// The terminal it was started on.
    ///
    /// # Panics
    /// When it was started without one.
    #[track_caller]
    pub fn console(&mut self) -> &mut Console {
        match &mut self.front {
            Front::Terminal(console) => console,
            Front::Plain(_) => panic!("{} was not started on a terminal", self.name),
        }
    }

    /// The machine's name and all that `nsrun boot` printed so far, for messages.
    #[must_use]
    pub fn output(&mut self) -> String {
        let text = match &mut self.front {
            Front::Terminal(console) => console.text(),
            Front::Plain(running) => running.so_far().to_string(),
        };
        format!("{} says:\n{text}", self.name)
    }

    /// What came from the machine's console so far.
    #[must_use]
    pub fn printed(&mut self) -> String {
        match &mut self.front {
            Front::Terminal(console) => console.text(),
            Front::Plain(running) => running.so_far().stdout,
        }
    }

    /// The supervisor's process id.
    #[must_use]
    pub fn pid(&self) -> rustix::process::Pid {
        match &self.front {
            Front::Terminal(console) => console.pid(),
            Front::Plain(running) => running.pid(),
        }
    }

    /// Sends the supervisor a signal.
    pub fn signal(&mut self, signal: Signal) {
        match &mut self.front {
            Front::Terminal(console) => console.signal(signal),
            Front::Plain(running) => running.signal(signal),
        }
    }

    /// Runs a command inside.
    #[track_caller]
    #[must_use]
    pub fn exec(&self, words: &[&str]) -> Done {
        let mut command = self.sandbox.command(&["exec", &self.name, "--"]);
        command.args(words);
        run(command, patience(90))
    }

    /// Runs a command inside that must end with 0, and gives its output without the last
    /// newline.
    #[track_caller]
    #[must_use]
    pub fn output_of(&self, words: &[&str]) -> String {
        let done = self.exec(words).success();
        done.stdout.trim_end_matches('\n').to_owned()
    }

    /// `nsrun stop`.
    #[track_caller]
    #[must_use]
    pub fn stop(&self) -> Done {
        self.sandbox.nsrun(&["stop", &self.name])
    }

    /// Waits until `nsrun boot` ends by itself, and gives its exit status.
    ///
    /// # Panics
    /// At the deadline, with all output.
    #[track_caller]
    pub fn finish(&mut self, deadline: Duration) -> i32 {
        match poll(deadline, || self.front.try_status()) {
            Some(status) => status,
            None => panic!("not over in {deadline:?}; {}", self.output()),
        }
    }
}

impl Front {
    fn try_status(&mut self) -> Option<i32> {
        match self {
            Self::Plain(running) => running.try_status(),
            Self::Terminal(console) => console.try_status(),
        }
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if self.front.try_status().is_some() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
        // The first asks, the second kills.
        self.signal(Signal::TERM);
        self.signal(Signal::TERM);
        if poll(patience(10), || self.front.try_status()).is_none() {
            self.signal(Signal::KILL);
        }
    }
}
