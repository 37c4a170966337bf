//! The winning bid of each auction, told of when the auction has closed: what queries 4, 6 and 9
//! share.

use millstream::fan::Either;
use millstream::keyed::process::{KeyContext, ProcessFunction, Timer, ValueState};
use millstream::prelude::*;

use crate::model::{Auction, Bid, Event};

/// An auction that has closed, and the bid that has won it.
#[derive(Clone, Debug)]
pub(crate) struct Won {
    pub(crate) auction: Auction,
    pub(crate) bid: Bid,
}

/// The winning bid of each auction: the highest from its `dateTime` up to and including `expires`,
/// of several the earliest, and of several at the same time the one that came first. An auction
/// without such a bid has none. Its event time is a millisecond behind `expires`.
pub(crate) fn winning_bids(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Won, impl Chain<Item = Won>> {
    let (auctions, others) = events.split(Event::is_auction);
    let bids = others.filter_map(Event::bid).key_by(|bid| bid.auction);
    auctions
        .filter_map(Event::auction)
        .key_by(|auction| auction.id)
        .parallel(instances)
        .connect(bids)
        .process(WinningBid)
        .named("winning bids")
}

#[derive(Clone)]
struct WinningBid;

/// What is kept of an auction until it closes.
#[derive(Default)]
struct Lot {
    auction: Option<Auction>,
    /// The highest bid so far.
    best: Option<Bid>,
    /// Bids that came before the auction did. They count if they are from the same millisecond.
    early: Vec<Bid>,
}

impl Lot {
    fn offer(&mut self, bid: Bid) {
        let Some(auction) = &self.auction else {
            self.early.push(bid);
            return;
        };
        let open = auction.date_time..=auction.expires;
        let beats = |best: &Bid| {
            bid.price > best.price || bid.price == best.price && bid.date_time < best.date_time
        };
        if open.contains(&bid.date_time) && self.best.as_ref().is_none_or(beats) {
            self.best = Some(bid);
        }
    }
}

impl ProcessFunction<u64, Either<Auction, Bid>> for WinningBid {
    type Out = Won;
    type States = ValueState<Lot>;
    const NAME: &'static str = "winning bid";

    fn states(&self) -> ValueState<Lot> {
        ValueState::new("lot")
    }

    fn process(
        &mut self,
        record: Record<Either<Auction, Bid>>,
        context: &mut KeyContext<'_, u64, ValueState<Lot>>,
        _out: &mut impl Collector<Won>,
    ) -> Result<(), OperatorError> {
        let mut lot = context.states.take().unwrap_or_default();
        match record.value {
            Either::Left(auction) => {
                context.timers.set_event_time(behind(auction.expires));
                lot.auction = Some(auction);
                std::mem::take(&mut lot.early).into_iter().for_each(|bid| lot.offer(bid));
            }
            Either::Right(bid) => {
                if lot.auction.is_none() {
                    context.timers.set_event_time(behind(bid.date_time));
                }
                lot.offer(bid);
            }
        }
        context.states.set(lot);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyContext<'_, u64, ValueState<Lot>>,
        out: &mut impl Collector<Won>,
    ) -> Result<(), OperatorError> {
        let Some(mut lot) = context.states.take() else { return Ok(()) };
        let passed = |time| behind(time) <= timer.time();
        lot.early.retain(|bid| !passed(bid.date_time));
        match lot.auction.take_if(|auction| passed(auction.expires)) {
            Some(auction) => {
                let won = lot.best.map(|bid| context.record(Won { auction, bid }));
                won.into_iter().for_each(|won| out.push(won));
            }
            None if lot.auction.is_some() || !lot.early.is_empty() => context.states.set(lot),
            None => {}
        }
        Ok(())
    }
}

/// The point from which on nothing more comes that happened at `time`, or before.
fn behind(time: i64) -> Timestamp {
    Timestamp::from_millis(time.saturating_add(1))
}
