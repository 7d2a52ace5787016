//! The consoles that the kernel command line names.

use hookos_guest::cmdline::Cmdline;

/// One console, from `console=NAME[,OPTIONS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Device below /dev.
    pub device: String,
    /// Serial options, `115200n8` for example; empty for a screen.
    pub options: String,
}

impl Console {
    /// Reads one value of `console=`, or what [`Console::text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, options) = text.split_once(',').unwrap_or((text, ""));
        let name = name.strip_prefix("/dev/").unwrap_or(name);
        // tty0 is whichever screen is in front; a log-in belongs on a certain one.
        let device = if name == "tty0" || name == "tty" { "tty1" } else { name };
        let plain = device.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        // `null` and `ttynull` swallow everything, `uart8250` and the like are early consoles only.
        let terminal = device.starts_with("tty") || device.starts_with("hvc") || device.starts_with("xvc");
        let numbered = device.ends_with(|c: char| c.is_ascii_digit());
        (plain && terminal && numbered && device.len() <= 32)
            .then(|| Self { device: device.to_owned(), options: options.to_owned() })
    }

    pub fn text(&self) -> String {
        format!("{},{}", self.device, self.options)
    }

    /// A screen of the machine itself, with a size that the kernel knows.
    pub fn is_screen(&self) -> bool {
        self.device.strip_prefix("tty").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Baud rate, parity (`n`, `o`, `e`), data bits and whether RTS/CTS is used, as the kernel reads
    /// them (Documentation/admin-guide/serial-console.rst). What is not given stays as the kernel set
    /// it.
    pub fn line(&self) -> Line {
        let digits = self.options.bytes().take_while(u8::is_ascii_digit).count();
        let speed = self.options[..digits].parse().ok().filter(|s| (50..=4_000_000).contains(s));
        let mut rest = self.options[digits..].chars();
        let parity = rest.next().map(|c| c.to_ascii_lowercase()).filter(|c| matches!(c, 'n' | 'o' | 'e'));
        let bits = rest.next().and_then(|c| c.to_digit(10)).filter(|b| matches!(b, 7 | 8));
        let flow = rest.next().is_some_and(|c| c.eq_ignore_ascii_case(&'r'));
        Line { speed, parity, bits, flow }
    }
}

/// Settings of a serial line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    pub speed: Option<u32>,
    pub parity: Option<char>,
    pub bits: Option<u32>,
    pub flow: bool,
}

/// The consoles in order, each once, and the values that name none. With no `console=` at all,
/// `active` (`/sys/class/tty/console/active`) tells which the kernel took.
pub fn consoles(cmdline: &Cmdline, active: &str) -> (Vec<Console>, Vec<String>) {
    let mut given: Vec<&str> = cmdline.values("console").collect();
    if given.is_empty() {
        given = active.split_whitespace().collect();
    }
    let (mut found, mut refused) = (Vec::<Console>::new(), Vec::new());
    for text in given {
        match Console::parse(text) {
            // The last one's options win, as for the kernel.
            Some(console) => match found.iter_mut().find(|c| c.device == console.device) {
                Some(known) => *known = console,
                None => found.push(console),
            },
            None => refused.push(text.to_owned()),
        }
    }
    (found, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_console_once() {
        let c = Cmdline::parse(b"console=tty0 console console=ttyS0 console=ttyS1,57600e7r console=ttyS0,115200n8 console=null console= console=../x0 console=ttynull");
        let (found, refused) = consoles(&c, "hvc0");
        let names: Vec<&str> = found.iter().map(|c| c.device.as_str()).collect();
        assert_eq!(names, ["tty1", "ttyS0", "ttyS1"]);
        assert_eq!(refused, ["null", "", "../x0", "ttynull"]);
        assert_eq!(
            found[1].line(),
            Line { speed: Some(115_200), parity: Some('n'), bits: Some(8), flow: false }
        );
        assert_eq!(
            found[2].line(),
            Line { speed: Some(57_600), parity: Some('e'), bits: Some(7), flow: true }
        );
        assert!(found[0].is_screen() && !found[1].is_screen());
        assert_eq!(Console::parse(&found[2].text()).unwrap(), found[2]);
    }

    #[test]
    fn the_kernels_choice_without_a_parameter() {
        let (found, _) = consoles(&Cmdline::parse(b"quiet"), "tty0 ttyS0\n");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn odd_options_change_nothing() {
        for options in ["", "n8", "99999999999", "115200x9z", "ä"] {
            let line = Console { device: "ttyS0".to_owned(), options: options.to_owned() }.line();
            assert!(line.parity.is_none_or(|p| "noe".contains(p)), "{options}");
        }
    }
}
