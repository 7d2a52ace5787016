//! PID 1's loop: children, signals, timers, the control socket, and the order of boot and shutdown.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookos_guest::cmdline::Cmdline;
use hookos_guest::report::{Report, ServiceState};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};
use rustix::time::Timespec;

use crate::bundle::{self, After};
use crate::children::{self, Ended};
use crate::control::Control;
use crate::identity::{self, Hostname};
use crate::output::Output;
use crate::protocol::{Action, Answer, Kind, Request, SOCKET};
use crate::reporter::{Reporter, memory};
use crate::tasks::{self, Job, Task};
use crate::unit::{Context, GRACE, SLOW, Unit};
use crate::{clock, debug, early, emergency, finish, info, say, unpacking};

/// Longest sleep of the loop.
const IDLE: Duration = Duration::from_secs(60);
/// Time for an onshutdown container.
const ONSHUTDOWN_LIMIT: Duration = Duration::from_secs(60);
/// Ended children nobody has asked for yet; see [`Context::strays`].
const STRAYS: usize = 64;

/// Signals that take the machine down: the meaning busybox's init gives them, and SIGPWR.
const SIGNALS: [(i32, Action); 5] = [
    (signal_hook::consts::SIGTERM, Action::Reboot),
    (signal_hook::consts::SIGINT, Action::Reboot),
    (signal_hook::consts::SIGUSR1, Action::Halt),
    (signal_hook::consts::SIGUSR2, Action::Poweroff),
    (30, Action::Poweroff), // SIGPWR
];

/// PID 1's whole life. Does not return.
pub fn pid_1() -> i32 {
    emergency::catch_panics();
    let started = clock::now();
    let wrong = early::bring_up();
    let cmdline = Cmdline::of_this_machine();
    say::start(cmdline.has("hookos.debug"));
    let mut machine = match Machine::new(&cmdline) {
        Ok(machine) => machine,
        Err(e) => emergency::emergency(&format!("cannot start: {e}")),
    };
    machine.begin(started, wrong);
    let action = machine.run();
    finish::finish(action)
}

/// The step at hand.
#[derive(Debug)]
enum Current {
    Program(Box<Job>),
    Container(usize),
}

#[derive(Debug)]
struct Ending {
    action: Action,
    /// Services are being stopped until then.
    stopping_until: Option<Duration>,
}

#[derive(Debug)]
pub struct Machine {
    units: Vec<Unit>,
    queue: VecDeque<Task>,
    current: Option<Current>,
    /// Onboot containers and services that have not been started yet, in order.
    waiting: Vec<usize>,
    /// Since when the step at hand runs, and when to name it as slow.
    step: (Duration, Duration),
    /// Output of hooks that left processes behind.
    leftovers: Vec<Output>,
    control: Control,
    reporter: Reporter,
    strays: Vec<(Pid, Ended)>,
    wake: UnixStream,
    requests: Vec<(Arc<AtomicBool>, Action)>,
    buffer: Vec<u8>,
    oci: String,
    verbose: bool,
    hostname: Hostname,
    /// Hooks and steps that failed; containers keep their own failures.
    failures: Vec<(String, String)>,
    ready: bool,
    ending: Option<Ending>,
}

impl Machine {
    fn new(cmdline: &Cmdline) -> std::io::Result<Self> {
        let (wake, ring) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut requests = Vec::new();
        for (signal, action) in SIGNALS {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag before the wake-up, so that whoever is woken finds it set.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal, ring.try_clone()?)?;
            requests.push((flag, action));
        }
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, ring)?;
        Ok(Self {
            units: Vec::new(),
            queue: VecDeque::new(),
            current: None,
            waiting: Vec::new(),
            step: (Duration::ZERO, Duration::MAX),
            leftovers: Vec::new(),
            control: Control::default(),
            reporter: Reporter::default(),
            strays: Vec::new(),
            wake,
            requests,
            buffer: vec![0; 65536],
            // crun starts a container in a third of the time; an image of others may have runc alone.
            oci: ["crun", "runc"]
                .into_iter()
                .find_map(children::find)
                .unwrap_or_else(|| "/usr/bin/crun".to_owned()),
            verbose: cmdline.has("hookos.debug"),
            hostname: Hostname::Provisional,
            failures: Vec::new(),
            ready: false,
            ending: None,
        })
    }

    /// Identity, control socket, and the list of what is to be done.
    fn begin(&mut self, started: Duration, wrong: Vec<String>) {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let unpacking = unpacking::time().map(|time| time.as_secs_f64());
        let init = Report::Init { at: started.as_secs_f64(), kernel: kernel.clone(), unpacking };
        self.reporter.send(&init);
        info!("HookOS init {} on Linux {kernel}", env!("CARGO_PKG_VERSION"));
        for text in wrong {
            self.fail("early", text);
        }
        match identity::set_hostname() {
            Ok(name) => self.hostname = name,
            Err(e) => self.fail("hostname", e.to_string()),
        }
        if let Err(e) = identity::merge_hosts(Path::new("/etc/hosts"), Path::new("/etc/hook/hosts")) {
            self.fail("/etc/hosts", e.to_string());
        }
        if let Err(e) = identity::resolv_conf() {
            self.fail("resolv.conf", e.to_string());
        }
        match Control::open(Path::new(SOCKET)) {
            Ok(control) => self.control = control,
            Err(e) => self.fail(SOCKET, e.to_string()),
        }
        for (kind, folder) in
            [(Kind::Onboot, "onboot"), (Kind::Service, "services"), (Kind::Onshutdown, "onshutdown")]
        {
            let folder = Path::new("/containers").join(folder);
            self.units.extend(bundle::list(&folder).into_iter().map(|path| Unit::new(kind, path)));
        }
        self.queue = tasks::before_onboot();
        self.queue.push_back(Task::Containers);
        self.tell_step("early", started);
    }

    /// Works until the machine is to go down and everything is stopped.
    pub fn run(&mut self) -> Action {
        loop {
            self.reap();
            self.signals();
            self.read_output();
            let now = clock::now();
            self.each_unit(now, |_, unit, cx| unit.tick(cx));
            self.advance(now);
            self.start_due(now);
            self.check_ready(now);
            if let Some(action) = self.check_ending(now) {
                self.say_goodbye(action);
                return action;
            }
            self.serve();
            self.reporter.pump(clock::now());
            self.sleep();
        }
    }

    fn places(&self, kind: Kind) -> Vec<usize> {
        self.units.iter().enumerate().filter(|(_, u)| u.kind == kind).map(|(i, _)| i).collect()
    }

    /// Calls `f` for every unit with what units need.
    fn each_unit(&mut self, now: Duration, mut f: impl FnMut(usize, &mut Unit, &mut Context<'_>)) {
        let mut cx = Context {
            now,
            oci: &self.oci,
            verbose: self.verbose,
            reporter: &mut self.reporter,
            strays: &mut self.strays,
            buffer: &mut self.buffer,
        };
        for (place, unit) in self.units.iter_mut().enumerate() {
            f(place, unit, &mut cx);
        }
    }

    fn fail(&mut self, name: &str, text: String) {
        info!("{name}: {text}");
        let at = clock::now().as_secs_f64();
        self.reporter.send(&Report::Problem { name: name.to_owned(), text: text.clone(), at });
        self.failures.push((name.to_owned(), text));
    }

    fn tell_step(&mut self, name: &str, since: Duration) {
        let now = clock::now();
        let seconds = now.saturating_sub(since).as_secs_f64();
        debug!("{name}: done in {seconds:.2} s");
        self.reporter.send(&Report::Step { name: name.to_owned(), at: now.as_secs_f64(), seconds });
    }

    fn reap(&mut self) {
        let mut sink = [0_u8; 64];
        while matches!(self.wake.read(&mut sink), Ok(1..)) {}
        while let Some((pid, how)) = children::reap() {
            let now = clock::now();
            if matches!(&self.current, Some(Current::Program(job)) if job.pid == pid) {
                if let Some(Current::Program(job)) = self.current.take() {
                    self.program_ended(*job, how);
                }
                continue;
            }
            let mut known = false;
            self.each_unit(now, |_, unit, cx| known = known || unit.ended(pid, how, cx));
            if !known {
                if self.strays.len() >= STRAYS {
                    drop(self.strays.drain(..1));
                }
                self.strays.push((pid, how));
            }
        }
    }

    fn program_ended(&mut self, mut job: Job, how: Ended) {
        job.output.drain(&mut self.buffer, 64);
        if how != Ended::Code(0) {
            for line in job.output.log.last_lines(5) {
                info!("  | {line}");
            }
            let last = job.output.log.last_lines(1).pop().map(|l| format!(": {l}")).unwrap_or_default();
            self.fail(&job.program.name, format!("ended with {how}{last}"));
        }
        self.tell_step(&job.program.name, job.begun);
        if job.output.pipes().next().is_some() {
            self.leftovers.push(job.output);
        }
    }

    fn signals(&mut self) {
        let asked: Vec<Action> = self
            .requests
            .iter()
            .filter(|(flag, _)| flag.swap(false, Ordering::Relaxed))
            .map(|(_, action)| *action)
            .collect();
        for action in asked {
            self.end(action, "a signal");
        }
    }

    fn read_output(&mut self) {
        for unit in &mut self.units {
            unit.output.drain(&mut self.buffer, 4);
        }
        if let Some(Current::Program(job)) = &mut self.current {
            job.output.drain(&mut self.buffer, 4);
        }
        for output in &mut self.leftovers {
            output.drain(&mut self.buffer, 4);
        }
        self.leftovers.retain(|output| output.pipes().next().is_some());
    }

    /// Goes on to the next steps while the one at hand is done.
    fn advance(&mut self, now: Duration) {
        loop {
            match &self.current {
                Some(Current::Program(job)) => {
                    if job.deadline().is_some_and(|t| now >= t) {
                        children::kill(job.pid, Signal::KILL);
                    }
                    return self.name_slow_step(now);
                }
                Some(Current::Container(place)) => {
                    let place = *place;
                    if self.units.get(place).is_some_and(|u| !u.is_over()) {
                        if self.ending.is_some() && now >= self.step.0.saturating_add(ONSHUTDOWN_LIMIT) {
                            self.each_unit(now, |i, unit, cx| {
                                if i == place {
                                    unit.kill(cx);
                                }
                            });
                        }
                        return;
                    }
                    self.current = None;
                }
                None => match self.queue.pop_front() {
                    Some(task) => self.take_up(task, now),
                    None => return,
                },
            }
        }
    }

    fn take_up(&mut self, task: Task, now: Duration) {
        self.step = (now, now.saturating_add(SLOW));
        match task {
            Task::Program(program) => {
                let name = program.name.clone();
                match Job::start(program, now) {
                    Ok(job) => self.current = Some(Current::Program(Box::new(job))),
                    Err(why) => self.fail(&name, why),
                }
            }
            Task::Volumes => {
                for text in tasks::mount_volumes(Path::new("/containers/volumes")) {
                    self.fail("volumes", text);
                }
                self.tell_step("volumes", now);
            }
            Task::Container(place) => {
                self.each_unit(now, |i, unit, cx| {
                    if i == place {
                        debug!("{} begins", unit.name);
                        unit.start(cx);
                    }
                });
                self.current = Some(Current::Container(place));
            }
            Task::Containers => {
                self.waiting = [self.places(Kind::Onboot), self.places(Kind::Service)].concat();
                self.check_waits();
            }
        }
    }

    /// Tells of names in `org.hookos.after` that no container has.
    fn check_waits(&mut self) {
        let mut wrong = Vec::new();
        for unit in &self.units {
            let After::Names(names) = unit.after() else { continue };
            for name in names.iter().filter(|name| self.named(name).next().is_none()) {
                let text =
                    format!("its annotation {} names `{name}`, which is not in this image", bundle::AFTER);
                wrong.push((unit.name.clone(), text));
            }
        }
        for (name, text) in wrong {
            self.fail(&name, text);
        }
    }

    /// The onboot containers and services of a name in the image definition.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let units = self.units.iter().enumerate().filter(|(_, unit)| unit.kind != Kind::Onshutdown);
        units.filter(move |(_, unit)| bundle::plain_name(&unit.name) == name).map(|(place, _)| place)
    }

    /// Starts what waits for nothing any more.
    fn start_due(&mut self, now: Duration) {
        while !self.waiting.is_empty() {
            let mut due: Vec<usize> =
                self.waiting.iter().copied().filter(|&place| self.may_start(place)).collect();
            if due.is_empty() && self.units.iter().all(Unit::lets_go_on) {
                // They wait for each other; better in any order than never.
                let names: Vec<&str> =
                    self.waiting.iter().filter_map(|&i| self.units.get(i)).map(|u| u.name.as_str()).collect();
                let text = format!("{} wait for each other and start without waiting", names.join(", "));
                self.fail(bundle::AFTER, text);
                due = self.waiting.clone();
            }
            if due.is_empty() {
                return;
            }
            self.name_machine();
            self.waiting.retain(|place| !due.contains(place));
            self.each_unit(now, |place, unit, cx| {
                if due.contains(&place) {
                    debug!("{} begins", unit.name);
                    unit.start(cx);
                }
            });
        }
    }

    fn may_start(&self, place: usize) -> bool {
        let done = |other: usize| {
            !self.waiting.contains(&other) && self.units.get(other).is_none_or(Unit::lets_go_on)
        };
        let Some(unit) = self.units.get(place) else { return true };
        match unit.after() {
            After::Names(names) => {
                names.iter().flat_map(|name| self.named(name)).all(|other| other == place || done(other))
            }
            After::Order => {
                let before = |other: usize| unit.kind == Kind::Service || other < place;
                self.places(Kind::Onboot).into_iter().filter(|&other| before(other)).all(done)
            }
        }
    }

    /// A program that seems to hang is named, as containers are.
    fn name_slow_step(&mut self, now: Duration) {
        let Some(Current::Program(job)) = self.current.as_ref().filter(|_| now >= self.step.1) else {
            return;
        };
        let name = job.program.name.clone();
        let seconds = now.saturating_sub(self.step.0).as_secs();
        info!("{name} has been running for {seconds} s; the steps after it wait");
        self.step.1 = now.saturating_add(Duration::from_secs(seconds.clamp(30, 600)));
    }

    /// A network card may have appeared that gives the machine its name.
    fn name_machine(&mut self) {
        if self.hostname == Hostname::Provisional
            && let Ok(name) = identity::set_hostname()
        {
            self.hostname = name;
        }
    }

    fn check_ready(&mut self, now: Duration) {
        let at_work = self.current.is_some() || !self.queue.is_empty() || !self.waiting.is_empty();
        let busy = self.ready || self.ending.is_some() || at_work;
        let open = |u: &Unit| match u.kind {
            Kind::Service => !u.is_settled(now),
            Kind::Onboot => !u.is_idle(),
            Kind::Onshutdown => false,
        };
        if busy || self.units.iter().any(open) {
            return;
        }
        self.ready = true;
        let mut failed: Vec<(String, String)> = self.failures.clone();
        let (mut up, mut onboot) = (0_usize, 0_usize);
        for unit in &self.units {
            match (unit.kind, unit.state(now)) {
                (Kind::Service, ServiceState::Running) => up += 1,
                (Kind::Onboot, _) => onboot += 1,
                _ => {}
            }
            let bad = match unit.kind {
                Kind::Onboot => unit.failed(),
                Kind::Service => !matches!(unit.state(now), ServiceState::Running | ServiceState::Stopped),
                Kind::Onshutdown => false,
            };
            if bad {
                failed.push((unit.name.clone(), unit.failure().unwrap_or_else(|| "is not up".to_owned())));
            }
        }
        let at = now.as_secs_f64();
        info!("{up} services up, {onboot} onboot steps, {at:.1} s after kernel start");
        for (name, text) in &failed {
            info!("FAILED {name}: {text}");
        }
        let failed = failed.into_iter().map(|(name, _)| name).collect();
        self.reporter.send(&Report::Ready { at, memory: memory(), failed });
        // From here on others' messages in the kernel's log are limited again.
        let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "ratelimit\n");
    }

    /// Begins the shutdown; asked a second time, no longer waits for anyone.
    fn end(&mut self, action: Action, who: &str) {
        let now = clock::now();
        if let Some(ending) = &mut self.ending {
            info!("{} asked for again by {who}: no more waiting", action.word());
            ending.action = action;
            ending.stopping_until = None;
            self.queue.clear();
            self.current = None;
            return;
        }
        info!("{} asked for by {who}; stopping services", action.word());
        self.queue.clear();
        self.waiting.clear();
        if let Some(Current::Program(job)) = &self.current {
            children::kill(job.pid, Signal::KILL);
        }
        self.current = None;
        let until = now.saturating_add(GRACE).saturating_add(Duration::from_secs(5));
        self.ending = Some(Ending { action, stopping_until: Some(until) });
        self.each_unit(now, |_, unit, cx| unit.stop(cx));
    }

    /// The shutdown's own order: services, onshutdown containers, hooks. The action once all is done.
    fn check_ending(&mut self, now: Duration) -> Option<Action> {
        let ending = self.ending.as_ref()?;
        let action = ending.action;
        if let Some(until) = ending.stopping_until {
            if now < until && self.units.iter().any(|u| !u.is_idle()) {
                return None;
            }
            self.queue.extend(self.places(Kind::Onshutdown).into_iter().map(Task::Container));
            self.queue.extend(tasks::shutdown_hooks());
            self.ending = Some(Ending { action, stopping_until: None });
            self.advance(now);
        }
        (self.current.is_none() && self.queue.is_empty()).then_some(action)
    }

    fn say_goodbye(&mut self, action: Action) {
        let at = clock::now().as_secs_f64();
        self.reporter.send(&Report::Shutdown { at, action: action.word().to_owned() });
        let until = clock::now().saturating_add(Duration::from_secs(1));
        while clock::now() < until {
            self.reporter.pump(clock::now());
            if self.reporter.is_done() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn serve(&mut self) {
        let mut control = std::mem::take(&mut self.control);
        control.turn(|request| self.answer(request));
        self.control = control;
    }

    fn answer(&mut self, request: Request) -> Answer {
        let now = clock::now();
        let (name, change): (String, fn(&mut Unit, &mut Context<'_>)) = match request {
            Request::List => {
                let units = self.units.iter().map(|u| u.info(now)).collect();
                return Answer { error: None, units };
            }
            Request::Shutdown { action } => {
                self.end(action, "a command");
                return Answer::default();
            }
            Request::Start { name } => (name, Unit::start_fresh),
            Request::Stop { name } => (name, Unit::stop),
            Request::Restart { name } => (name, Unit::restart),
        };
        let mut answer = Answer { error: Some(format!("there is no service `{name}`")), units: Vec::new() };
        if self.ending.is_some() {
            answer.error = Some("the machine is going down".to_owned());
            return answer;
        }
        self.each_unit(now, |_, unit, cx| {
            if unit.kind == Kind::Service && unit.name == name {
                change(unit, cx);
                answer = Answer { error: None, units: vec![unit.info(now)] };
            } else if unit.name == name {
                answer.error = Some(format!("`{name}` is not a service but a step that runs once"));
            }
        });
        answer
    }

    /// Waits for something to happen.
    fn sleep(&self) {
        let mut until = clock::now().saturating_add(IDLE);
        let mut sooner = |t: Option<Duration>| until = until.min(t.unwrap_or(Duration::MAX));
        for unit in &self.units {
            sooner(unit.deadline());
        }
        sooner(self.reporter.deadline());
        sooner(self.ending.as_ref().and_then(|e| e.stopping_until));
        if let Some(current) = &self.current {
            match current {
                Current::Program(job) => {
                    sooner(Some(self.step.1));
                    sooner(job.deadline());
                }
                Current::Container(_) if self.ending.is_some() => {
                    sooner(Some(self.step.0.saturating_add(ONSHUTDOWN_LIMIT)));
                }
                Current::Container(_) => {}
            }
        }
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        fds.extend(self.control.interests().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        let job = match &self.current {
            Some(Current::Program(job)) => Some(&job.output),
            _ => None,
        };
        let outputs = self.units.iter().map(|u| &u.output).chain(&self.leftovers).chain(job);
        for output in outputs {
            fds.extend(output.pipes().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        // At least a millisecond: a timer that is due but finds nothing to do must not spin.
        let wait = until.saturating_sub(clock::now()).max(Duration::from_millis(1));
        let wait = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(60),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let _ = poll(&mut fds, Some(&wait));
    }
}
