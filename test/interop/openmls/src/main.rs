//! MLS members by OpenMLS, told what to do by JSON, one command a line on standard input, one answer a line on standard
//! output. Byte strings are hexadecimal, messages are whole MLSMessages. State lives in memory: the process is the test.

mod member;
mod wire;

use std::collections::HashMap;
use std::io::{BufRead, Write};

use member::Member;
use serde_json::{Value, json};
use wire::{Answer, Command};

fn main() {
    let mut members: HashMap<String, Member> = HashMap::new();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let answer = match answer(&mut members, &line) {
            Ok(result) => json!({ "ok": result }),
            Err(error) => json!({ "error": error }),
        };
        writeln!(output, "{answer}").expect("standard output is open");
        output.flush().expect("standard output is open");
    }
}

fn answer(members: &mut HashMap<String, Member>, line: &str) -> Answer<Value> {
    let command: Command = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if let Command::New { member, private } = command {
        let new = Member::new(&member, private)?;
        let description = json!({ "signatureKey": hex::encode(new.signature_key()) });
        members.insert(member, new);
        return Ok(description);
    }
    let name = command.member();
    let member = members.get_mut(name).ok_or_else(|| format!("no member {name}"))?;
    member.run(command)
}
