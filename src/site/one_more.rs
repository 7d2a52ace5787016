//! A table with one field more, for a test of what follows from a line of the table and from nothing else.

use super::field::{Default, Field, Kind, Section};
use super::fields::{FIELDS, Id, PLAIN};
use std::cell::Cell;

thread_local! {
    static TABLE: Cell<Option<&'static [Field]>> = const { Cell::new(None) };
}

/// The longer table, on a thread that has it.
pub fn table() -> Option<&'static [Field]> {
    TABLE.get()
}

/// From now on this thread's table has one line more, as it would be written behind the others.
pub fn add() {
    let more = Field {
        id: Id::OneMore,
        label: "Link patience",
        section: Section::Network,
        key: "link_patience",
        flag: "link-patience",
        env: "HOOKOS_LINK_PATIENCE",
        kind: Kind::Integer(1, 600),
        default: Default::Is("30"),
        help: "Seconds to wait for a link before DHCP",
        more: "Some switches take a minute.",
        example: "60",
        ..PLAIN
    };
    let table: Vec<Field> = FIELDS.iter().cloned().chain([more]).collect();
    TABLE.set(Some(Vec::leak(table)));
}
