//! The `service`, `poweroff`, `reboot` and `halt` commands.
//!
//! Exit codes: 0 done, 1 it did not work, 2 the command line is wrong, 3 PID 1 cannot be reached.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use hookos_guest::report::ServiceState;

use crate::protocol::{Action, Answer, Kind, Request, SOCKET, UnitInfo};

const HELP: &str = "\
service: look at and control the services of HookOS

  service [list] [--all] [--json]     all services; --all adds the steps of boot and shutdown
  service status NAME [--json]        one service; exit code 0 when it is up
  service start|stop|restart NAME     and wait until it is done (at most 30 s)
  service log NAME [-n LINES] [-f]    the last lines of its log (20); -f goes on as it grows
  service --help

Logs are files: /var/log/NAME.log, /var/log/onboot/NNN-NAME.log, /var/log/init.d/*.log
";

/// What went wrong, with the exit code.
type Failure = (i32, String);

/// Runs `service` with its arguments; gives the exit code.
pub fn service(args: &[String]) -> i32 {
    let mut out = std::io::stdout().lock();
    match run(args, &mut out) {
        Ok(code) => code,
        Err((code, text)) => {
            let _ = writeln!(std::io::stderr(), "service: {text}");
            code
        }
    }
}

/// The command line of `service`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub words: Vec<String>,
    pub json: bool,
    pub all: bool,
    pub follow: bool,
    pub lines: Option<usize>,
    pub help: bool,
}

/// Sorts the arguments; an unknown option is an error that names it.
pub fn parse(args: &[String]) -> Result<Line, String> {
    let mut line = Line::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--json" => line.json = true,
            "--all" | "-a" => line.all = true,
            "-f" | "--follow" => line.follow = true,
            "-h" | "--help" | "help" => line.help = true,
            "-n" | "--lines" => {
                let number = rest.next().ok_or("-n needs a number of lines")?;
                line.lines = Some(number.parse().map_err(|_| format!("-n: `{number}` is not a number"))?);
            }
            other if other.starts_with('-') => {
                return Err(format!("unknown option `{other}`; see service --help"));
            }
            word => line.words.push(word.to_owned()),
        }
    }
    Ok(line)
}

fn run(args: &[String], out: &mut impl Write) -> Result<i32, Failure> {
    let line = parse(args).map_err(|e| (2, e))?;
    if line.help {
        let _ = out.write_all(HELP.as_bytes());
        return Ok(0);
    }
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["list"] => {
            let mut units = list()?;
            units.retain(|u| line.all || u.kind == Kind::Service);
            let text = if line.json { json(&units)? } else { table(&units) };
            let _ = out.write_all(text.as_bytes());
            Ok(0)
        }
        ["status", name] => {
            let unit = find(name)?;
            let text = if line.json { json(&unit)? } else { details(&unit) };
            let _ = out.write_all(text.as_bytes());
            let good = match unit.kind {
                Kind::Service => unit.state == ServiceState::Running,
                _ => unit.last_exit == Some(0),
            };
            Ok(i32::from(!good))
        }
        ["log", name] => log(&find(name)?, line.lines.unwrap_or(20), line.follow, out),
        [verb @ ("start" | "stop" | "restart"), name] => change(verb, name, line.json, out),
        [verb @ ("status" | "log" | "start" | "stop" | "restart")] => {
            Err((2, format!("{verb} needs the name of a service; see service list")))
        }
        [verb @ ("list" | "status" | "log" | "start" | "stop" | "restart"), ..] => {
            Err((2, format!("too many words after {verb}; see service --help")))
        }
        [verb, ..] => Err((2, format!("unknown command `{verb}`; see service --help"))),
    }
}

/// Sends one request and reads the answer.
fn ask(request: &Request) -> Result<Answer, Failure> {
    let lost = |e: &dyn std::fmt::Display| (3, format!("cannot talk to PID 1 over {SOCKET}: {e}"));
    let mut stream = UnixStream::connect(SOCKET).map_err(|e| lost(&e))?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|e| lost(&e))?;
    let mut text = serde_json::to_vec(request).map_err(|e| lost(&e))?;
    text.push(b'\n');
    stream.write_all(&text).map_err(|e| lost(&e))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|e| lost(&e))?;
    let answer: Answer = serde_json::from_str(&line).map_err(|e| lost(&e))?;
    match answer.error {
        Some(text) => Err((1, text)),
        None => Ok(answer),
    }
}

fn list() -> Result<Vec<UnitInfo>, Failure> {
    Ok(ask(&Request::List)?.units)
}

/// A unit by its name; an onboot step also without its number.
fn find(name: &str) -> Result<UnitInfo, Failure> {
    let units = list()?;
    let short =
        |u: &UnitInfo| u.kind != Kind::Service && u.name.split_once('-').is_some_and(|(_, n)| n == name);
    let found = units.iter().find(|u| u.name == name).or_else(|| units.iter().find(|u| short(u)));
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> =
            units.iter().filter(|u| u.kind == Kind::Service).map(|u| u.name.as_str()).collect();
        (1, format!("there is no service `{name}`; there are: {}", names.join(", ")))
    })
}

fn change(verb: &str, name: &str, as_json: bool, out: &mut impl Write) -> Result<i32, Failure> {
    let name_of = || name.to_owned();
    let before = find(name)?;
    let request = match verb {
        "start" => Request::Start { name: name_of() },
        "stop" => Request::Stop { name: name_of() },
        _ => Request::Restart { name: name_of() },
    };
    ask(&request)?;
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let unit = find(name)?;
        let done = match verb {
            "stop" => unit.pid.is_none() && !unit.busy,
            "start" => unit.state == ServiceState::Running,
            _ => unit.state == ServiceState::Running && (unit.pid != before.pid || before.pid.is_none()),
        };
        let gave_up = verb != "stop"
            && (unit.state == ServiceState::Failed
                || unit.state == ServiceState::Backoff && unit.restarts > before.restarts.saturating_add(1));
        if done {
            let text = if as_json { json(&unit)? } else { format!("{name}: {}\n", state(&unit)) };
            let _ = out.write_all(text.as_bytes());
            return Ok(0);
        }
        if gave_up || Instant::now() > until {
            let why = unit.message.map(|m| format!(": {m}")).unwrap_or_default();
            return Err((
                1,
                format!("{name} is {} after {verb}{why}; see service log {name}", word(unit.state)),
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Prints the last `count` lines, then, with `follow`, what is added, over turned-over files.
fn log(unit: &UnitInfo, count: usize, follow: bool, out: &mut impl Write) -> Result<i32, Failure> {
    let path = Path::new(&unit.log);
    let open = || File::open(path).map_err(|e| (1, format!("{}: {e}", path.display())));
    let mut file = match open() {
        Ok(file) => file,
        Err(_) if follow => wait_for(path),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    let fail = |e: std::io::Error| (1, format!("{}: {e}", path.display()));
    file.read_to_end(&mut bytes).map_err(fail)?;
    let _ = out.write_all(last_lines(&bytes, count));
    let _ = out.flush();
    if !follow {
        return Ok(0);
    }
    loop {
        bytes.clear();
        file.read_to_end(&mut bytes).map_err(fail)?;
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            return Ok(0);
        }
        let here = file.metadata().map_err(fail)?;
        if std::fs::metadata(path).is_ok_and(|m| m.ino() != here.ino()) {
            file = wait_for(path);
        } else if here.len() < file.stream_position().map_err(fail)? {
            file.seek(SeekFrom::Start(0)).map_err(fail)?;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn wait_for(path: &Path) -> File {
    loop {
        match File::open(path) {
            Ok(file) => return file,
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// The end of `bytes` with at most `count` lines.
pub fn last_lines(bytes: &[u8], count: usize) -> &[u8] {
    if count == 0 {
        return &[];
    }
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let start = body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').nth(count - 1);
    bytes.get(start.map_or(0, |(at, _)| at + 1)..).unwrap_or_default()
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|t| t + "\n").map_err(|e| (1, e.to_string()))
}

fn word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Starting => "starting",
        ServiceState::Running => "running",
        ServiceState::Backoff => "waiting",
        ServiceState::Stopped => "stopped",
        ServiceState::Failed => "failed",
    }
}

/// The state in words; steps that run once have no state of a service.
fn state(unit: &UnitInfo) -> &'static str {
    match (unit.kind, unit.state, unit.last_exit) {
        (Kind::Service, state, _) => word(state),
        (_, ServiceState::Starting | ServiceState::Running, _) => "running",
        (_, _, None) => "not yet",
        (_, _, Some(0)) => "done",
        (_, _, Some(_)) => "failed",
    }
}

/// `1d 02h`, `3h 04m`, `5m 06s`, `7s`.
fn duration(seconds: f64) -> String {
    let s = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s:02}s"),
        (0, h, m, _) => format!("{h}h {m:02}m"),
        (d, h, _, _) => format!("{d}d {h:02}h"),
    }
}

/// The list for people. A service that is not up has a line with the reason below it.
pub fn table(units: &[UnitInfo]) -> String {
    let dash = || "-".to_owned();
    let header = ["NAME", "STATE", "PID", "UP", "RESTARTS", "LAST EXIT"].map(str::to_owned);
    let rows: Vec<[String; 6]> = units
        .iter()
        .map(|u| {
            [
                u.name.clone(),
                state(u).to_owned(),
                u.pid.map_or_else(dash, |p| p.to_string()),
                u.uptime.map_or_else(dash, duration),
                u.restarts.to_string(),
                u.last_exit.map_or_else(dash, |c| c.to_string()),
            ]
        })
        .collect();
    let mut widths = header.each_ref().map(String::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = String::new();
    for (row, unit) in std::iter::once((&header, None)).chain(rows.iter().zip(units.iter().map(Some))) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        let down = |u: &&UnitInfo| !matches!(u.state, ServiceState::Running | ServiceState::Starting);
        if let Some(u) = unit.filter(down)
            && u.last_exit.is_some_and(|c| c != 0)
            && let Some(message) = &u.message
        {
            let _ = writeln!(text, "  {message}");
        }
    }
    text
}

fn details(u: &UnitInfo) -> String {
    let mut text = format!("{}: {}\n", u.name, state(u));
    if let Some(pid) = u.pid {
        let _ = writeln!(text, "  process    {pid}, up {}", duration(u.uptime.unwrap_or(0.0)));
    }
    if u.kind == Kind::Service {
        let _ = writeln!(text, "  restarts   {}", u.restarts);
    }
    if let Some(message) = &u.message {
        let _ = writeln!(text, "  last run   {message}");
    }
    let _ = writeln!(text, "  log        {}", u.log);
    text
}

/// Runs `poweroff`, `reboot` or `halt`; gives the exit code.
pub fn power(name: &str, args: &[String]) -> i32 {
    let mut err = std::io::stderr();
    let Some(action) = Action::parse(name) else { return 2 };
    let mut force = false;
    for arg in args {
        match arg.as_str() {
            "-f" | "--force" => force = true,
            "-h" | "--help" => {
                let _ = writeln!(
                    std::io::stdout(),
                    "{name} [-f]: stop all services in order, unmount disks and {name}; -f does so at once, \
                     without stopping anything"
                );
                return 0;
            }
            other => {
                let _ = writeln!(err, "{name}: unknown option `{other}`; the only one is -f");
                return 2;
            }
        }
    }
    if force {
        crate::finish::sync(Duration::from_secs(10));
        let refused = rustix::system::reboot(crate::finish::command(action));
        let _ = writeln!(err, "{name}: the kernel refuses: {refused:?}");
        return 1;
    }
    match ask(&Request::Shutdown { action }) {
        Ok(_) => 0,
        Err((code, text)) => {
            let _ = writeln!(err, "{name}: {text}; {name} -f does it without PID 1");
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn command_lines() {
        let line = parse(&args("log ntp -n 5 -f")).unwrap();
        assert_eq!((line.words.len(), line.lines, line.follow), (2, Some(5), true));
        assert!(parse(&args("list --jsn")).unwrap_err().contains("--jsn"));
        assert!(parse(&args("log x -n many")).unwrap_err().contains("many"));
        let mut out = Vec::new();
        assert_eq!(run(&args("--help"), &mut out).unwrap(), 0);
        assert_eq!(run(&args("restart"), &mut out).unwrap_err().0, 2);
        assert_eq!(run(&args("dance x"), &mut out).unwrap_err().0, 2);
    }

    #[test]
    fn lines_from_the_end() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 1), b"c");
        assert_eq!(last_lines(b"a\n", 9), b"a\n");
        assert_eq!(last_lines(b"", 3), b"");
        assert_eq!(last_lines(b"a\nb\n", 0), b"");
    }

    #[test]
    fn the_table_lines_up_and_gives_reasons() {
        let unit = UnitInfo {
            name: "ntp".into(),
            kind: Kind::Service,
            state: ServiceState::Backoff,
            pid: None,
            uptime: None,
            busy: false,
            restarts: 3,
            last_exit: Some(1),
            message: Some("ended with exit code 1 after 0.2 s: no server".into()),
            log: "/var/log/ntp.log".into(),
        };
        let up = UnitInfo {
            name: "docker".into(),
            state: ServiceState::Running,
            pid: Some(431),
            uptime: Some(3725.0),
            last_exit: None,
            message: None,
            ..unit.clone()
        };
        let text = table(&[unit, up]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME    STATE    PID  UP      RESTARTS  LAST EXIT");
        assert_eq!(lines[1], "ntp     waiting  -    -       3         1");
        assert_eq!(lines[2], "  ended with exit code 1 after 0.2 s: no server");
        assert_eq!(lines[3], "docker  running  431  1h 02m  3         -");
    }
}
