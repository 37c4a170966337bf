//! Tests of the job on virtual time.

use millstream::testing::{SinkProbe, SourceProbe, TestDriver, probe_sink, probe_source};

use super::*;

/// The job between probes.
struct Workshop {
    driver: TestDriver,
    readings: SourceProbe<Reading>,
    limits: SourceProbe<Limit>,
    alarms: SinkProbe<String>,
}

impl Workshop {
    fn start() -> Self {
        let (readings, thermometers) = probe_source::<Reading>();
        let (limits, changes) = probe_source::<Limit>();
        let (told, sink) = probe_sink();
        let flow = Dataflow::new("workshop");
        let thermometers = flow.source("thermometers", thermometers).boundary();
        alarms(thermometers, flow.source("changes", changes).boundary()).sink("alarms", sink);
        let driver = TestDriver::start(flow.blueprint()).unwrap();
        Self { driver, readings, limits, alarms: told }
    }

    fn read(&mut self, device: Device, degrees: f64, seconds: u64) {
        let time = Timestamp::from_millis(0).saturating_add(Duration::from_secs(seconds));
        self.driver.push(&self.readings, Record::new(Reading { device, degrees, time }));
    }

    /// Readings every ten seconds, two degrees up and down.
    fn sway(&mut self, seconds: std::ops::Range<u64>) {
        for seconds in seconds.step_by(10) {
            self.read("oven", if seconds % 20 == 0 { 202.0 } else { 198.0 }, seconds);
        }
    }

    fn told(&mut self) -> Vec<String> {
        self.driver.read(&self.alarms)
    }

    fn end(mut self) {
        self.driver.end(&self.readings);
        self.driver.end(&self.limits);
        self.driver.finish().unwrap();
    }
}

#[test]
fn a_device_that_falls_silent_raises_an_alarm_though_no_data_comes() {
    let mut workshop = Workshop::start();
    workshop.read("oven", 200.0, 0);
    workshop.driver.advance(SILENCE / 2);
    workshop.read("press", 45.0, 60);
    workshop.driver.advance(SILENCE / 2 - Duration::from_millis(1));
    assert_eq!(workshop.told(), [""; 0]);
    workshop.driver.advance(Duration::from_millis(1));
    assert_eq!(workshop.told(), ["00:00  oven   was heard for the last time"]);
    workshop.driver.advance(SILENCE / 2);
    assert_eq!(workshop.told(), ["00:01  press  was heard for the last time"]);
    workshop.driver.advance(10 * SILENCE);
    assert_eq!(workshop.told(), [""; 0], "once is enough");
    workshop.read("oven", 200.0, 120);
    assert_eq!(workshop.told(), ["00:02  oven   is back"]);
    workshop.end();
}

#[test]
fn each_reading_puts_the_alarm_off() {
    let mut workshop = Workshop::start();
    for seconds in 0..50 {
        workshop.read("oven", 200.0, seconds);
        workshop.driver.advance(SILENCE - Duration::from_millis(1));
    }
    assert_eq!(workshop.told(), [""; 0]);
    workshop.end();
}

#[test]
fn a_limit_that_changes_while_the_job_runs_holds_from_then_on() {
    let mut workshop = Workshop::start();
    workshop.sway(0..130);
    assert_eq!(workshop.told(), ["00:00  oven   is unsteady: 200.0 ± 2.0 °C, limit 1.0"]);
    workshop.driver.push(&workshop.limits, ("oven", 3.0));
    workshop.sway(130..250);
    assert_eq!(workshop.told(), ["00:02  oven   is steady again: 200.0 ± 2.0 °C, limit 3.0"]);
    workshop.driver.push(&workshop.limits, ("cellar", 0.1));
    workshop.sway(250..370);
    assert_eq!(workshop.told(), [""; 0], "another device's limit is not the oven's");
    workshop.driver.push(&workshop.limits, ("oven", 1.5));
    workshop.sway(370..490);
    assert_eq!(workshop.told(), ["00:06  oven   is unsteady: 200.0 ± 2.0 °C, limit 1.5"]);
    workshop.end();
}

#[test]
fn a_spread_is_that_of_the_readings() {
    let readings = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    let both = (Mean::of(|n: &f64| *n), Mean::of(|n: &f64| n.powi(2))).map_result(spread);
    assert_eq!(both.over(&readings), Some((5.0, 2.0)));
    assert_eq!(both.over(&[]), None);
}
