use std::path::Path;

use network::policy::zones::Firewall;

use super::{Backend, execute};

/// Calls with what firewalld 1.3.3 prints and how it exits: `$ arguments`, stdout, `! stderr`, `? code` if not zero.
const CALLS: &str = include_str!("../../tests/firewall-cmd.txt");

struct Memory {
    place: tempfile::TempDir,
    firewall: Option<Firewall>,
    now: u64,
}

impl Memory {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        Self { place, firewall: Some(Firewall::default()), now: 1000 }
    }
    fn call(&mut self, arguments: &str) -> (String, u8) {
        let output = execute(&words(arguments), self).unwrap();
        let complaints = output.err.lines().map(|line| format!("! {line}\n"));
        (output.out + &complaints.collect::<String>(), output.code)
    }
}

impl Backend for Memory {
    fn firewall(&mut self) -> anyhow::Result<Option<Firewall>> {
        Ok(self.firewall.clone())
    }
    fn set_firewall(&mut self, firewall: &Firewall, _cut: bool) -> anyhow::Result<()> {
        self.firewall = Some(firewall.clone());
        Ok(())
    }
    fn directory(&self) -> &Path {
        self.place.path()
    }
    fn now(&self) -> u64 {
        self.now
    }
}

/// As a shell takes arguments apart, as far as the table needs it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn calls_answer_as_firewall_cmd_does() {
    let mut memory = Memory::new();
    memory.call("--start");
    let (mut count, mut wrong) = (0, String::new());
    for block in CALLS.split("\n$ ").skip(1) {
        let (arguments, answer) = block.split_once('\n').unwrap_or((block, ""));
        let mut expected = String::new();
        let mut expected_code = 0;
        for line in answer.lines() {
            match line.strip_prefix("? ") {
                Some(code) => expected_code = code.parse().unwrap(),
                None => expected += &format!("{line}\n"),
            }
        }
        let (text, code) = memory.call(arguments);
        if (text.as_str(), code) != (expected.as_str(), expected_code) {
            wrong +=
                &format!("$ {arguments}\n{text}? {code}\nbut firewall-cmd:\n{expected}? {expected_code}\n\n");
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 25, "{count}");
}

#[test]
fn a_firewall_is_off_until_started() {
    let mut memory = Memory::new();
    assert_eq!(memory.call("--state"), ("! not running\n".to_owned(), 252));
    assert_eq!(memory.call("--add-service=http"), ("! FirewallD is not running\n".to_owned(), 252));
    assert_eq!(memory.call("--start"), ("success\n".to_owned(), 0));
    assert_eq!(memory.call("--state"), ("running\n".to_owned(), 0));
    assert_eq!(memory.call("--stop"), ("success\n".to_owned(), 0));
    assert_eq!(memory.call("--list-all").1, 252);
    // Of a network that does not run, only the configuration changes.
    memory.firewall = None;
    assert_eq!(memory.call("--start"), ("success\n".to_owned(), 0));
    assert_eq!(memory.call("--state").1, 252);
    assert!(network::policy::zones::Permanent::load(memory.directory()).unwrap().started);
}

#[test]
fn what_is_added_for_a_while_goes() {
    let mut memory = Memory::new();
    memory.call("--start");
    assert_eq!(memory.call("--add-service=http --timeout=2m"), ("success\n".to_owned(), 0));
    memory.now += 119;
    assert_eq!(memory.call("--query-service=http").1, 0);
    memory.now += 1;
    assert_eq!(memory.call("--query-service=http").1, 1);
}
