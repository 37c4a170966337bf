//! Tests of the job in virtual time.

use futures::FutureExt as _;

use super::*;

const fn options(sensors: usize, readings: usize) -> Options {
    Options { sensors, readings, graph: false, metrics: None }
}

/// What the processor of a sensor makes of so many of its readings, in a plain loop.
fn plainly(sensor: usize, readings: usize) -> Vec<f64> {
    let mut smoothed = Vec::new();
    for number in 0..readings {
        let degrees = degrees(sensor, number);
        smoothed.push(smoothed.last().map_or(degrees, |last| last + (degrees - last) / 4.0));
    }
    smoothed
}

fn of(sensor: usize, gathered: &[Reading]) -> Vec<f64> {
    let own = gathered.iter().filter(|reading| reading.sensor == sensor);
    own.map(|reading| reading.degrees).collect()
}

#[tokio::test(start_paused = true)]
async fn every_reading_is_gathered_once_and_in_the_order_of_its_sensor() {
    for sensors in [1, 2, 30] {
        let (flow, gathered) = graph(&options(sensors, 40));
        let report = flow.run().await.unwrap();
        let gathered = report.take(gathered).unwrap();
        assert_eq!((report.records_read(), gathered.len()), (40 * sensors as u64, 40 * sensors));
        for sensor in 1..=sensors {
            assert_eq!(of(sensor, &gathered), plainly(sensor, 40), "sensor {sensor}");
        }
        // Nobody waits for anybody else: all are done when the slowest is.
        let slowest = (1..=sensors).map(pace).max().unwrap() * 40;
        let elapsed = report.elapsed();
        assert!((slowest..slowest + Duration::from_millis(5)).contains(&elapsed), "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_at_any_moment_gathers_what_had_been_read() {
    for millis in (0..1000_u128).step_by(37) {
        let (flow, gathered) = graph(&options(5, 1000));
        let mut job = flow.start().unwrap();
        tokio::time::sleep(Duration::from_millis(millis as u64)).await;
        assert!((&mut job).now_or_never().is_none(), "no sensor has come to its end");
        let report = job.drain(Duration::from_secs(1)).await.unwrap();
        let gathered = report.take(gathered).unwrap();
        assert_eq!(gathered.len() as u64, report.records_read());
        for sensor in 1..=5 {
            let own = of(sensor, &gathered);
            // One that is due in the very millisecond of the drain may be read or not.
            let due = [millis.saturating_sub(1), millis].map(|at| at / pace(sensor).as_millis());
            assert!((due[0]..=due[1]).contains(&(own.len() as u128)), "{sensor} at {millis} ms");
            assert_eq!(own, plainly(sensor, own.len()), "sensor {sensor}");
        }
    }
}

#[test]
fn a_curve_is_as_high_as_its_values() {
    assert_eq!(curve(&[1.0, 2.0, 4.5, 8.0]), "▁▂▅█");
    assert_eq!(curve(&[5.0, 5.0]), "▁▁");
    assert_eq!(curve(&[]), "");
}
