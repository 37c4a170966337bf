//! The queries: one a file, which says its definition and then the same in words of the stream.

mod euros;
mod mean;
mod q0;
mod q1;
mod q10;
mod q11;
mod q12;
mod q13;
mod q14;
mod q15;
mod q16;
mod q17;
mod q18;
mod q19;
mod q2;
mod q20;
mod q21;
mod q22;
mod q3;
mod q4;
mod q5;
mod q6;
mod q7;
mod q8;
mod q9;
mod ranks;
mod time;
mod winning;

use std::ops::RangeInclusive;

use millstream::prelude::*;

use crate::model::Event;
use crate::run::Run;
use crate::table::{Row, Rows, Table};

/// The numbers of the queries.
pub(crate) const ALL: RangeInclusive<u8> = 0..=22;

/// Those whose result depends on when events come, and not only on their times.
pub(crate) const BY_THE_CLOCK: [u8; 1] = [12];

/// Gives what a run has left in its report.
pub(crate) type Take = Box<dyn FnOnce(&JobReport) -> Box<dyn Table>>;

/// Puts query `number` behind the events, and a table behind the query.
pub(crate) fn put_behind(
    number: u8,
    events: DataStream<Event, impl Chain<Item = Event>>,
    run: Run,
) -> Take {
    let n = run.instances;
    // What looks at one event at a time is part of the source's stage, or of `n` behind it.
    macro_rules! plain {
        ($query:ident) => {
            match n {
                1 => table($query::query(events), run),
                _ => table($query::query(events.parallel(n)), run),
            }
        };
    }
    match number {
        0 => plain!(q0),
        1 => plain!(q1),
        2 => plain!(q2),
        3 => table(q3::query(events, n), run),
        4 => table(q4::query(events, n), run),
        5 => table(q5::query(events, n), run),
        6 => table(q6::query(events, n), run),
        7 => table(q7::query(events), run),
        8 => table(q8::query(events, n), run),
        9 => table(q9::query(events, n), run),
        10 => plain!(q10),
        11 => table(q11::query(events, n), run),
        12 => table(q12::query(events, n), run),
        13 => table(q13::query(events, n), run),
        14 => plain!(q14),
        15 => table(q15::query(events, n), run),
        16 => table(q16::query(events, n), run),
        17 => table(q17::query(events, n), run),
        18 => table(q18::query(events, n), run),
        19 => table(q19::query(events, n), run),
        20 => table(q20::query(events, n), run),
        21 => plain!(q21),
        22 => plain!(q22),
        _ => panic!("there is no query {number}"),
    }
}

fn table<R: Row>(rows: DataStream<R, impl Chain<Item = R>>, run: Run) -> Take {
    let rows = rows.fold(Rows::new(run.keep), Rows::add);
    Box::new(move |report| Box::new(report.take(rows).unwrap_or_else(|| Rows::new(run.keep))))
}
