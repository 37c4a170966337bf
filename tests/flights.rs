//! The example `flights` as a program: its totals computed another way, and what it does with bad
//! input, a full disk, a port that is taken and a signal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
const HEADER: &str = "carrier,name,flights,cancelled,mean_dep_delay";
const HOURS: &str = "window_start,carrier,flights,cancelled,mean_dep_delay";

/// The example, as cargo builds it beside the tests.
fn flights() -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join("flights");
    assert!(program.exists(), "build it first: cargo build --example flights");
    Command::new(program)
}

fn run(arguments: &[&str]) -> Output {
    flights().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

/// The month, unpacked.
fn month() -> Vec<u8> {
    unpacked("flights-2013-01.csv.gz")
}

fn unpacked(name: &str) -> Vec<u8> {
    let file = std::fs::File::open(format!("{DATA}/{name}")).unwrap();
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut content).unwrap();
    content
}

/// The totals by carrier, in a plain loop.
fn totals(content: &[u8]) -> String {
    let mut names = csv::Reader::from_path(format!("{DATA}/airlines.csv")).unwrap();
    let names: BTreeMap<String, String> = names.deserialize().map(Result::unwrap).collect();
    let mut rows = csv::Reader::from_reader(content);
    let columns = rows.headers().unwrap().clone();
    let column = |name| columns.iter().position(|column| column == name).unwrap();
    let [carrier, departed, delayed] = ["carrier", "dep_time", "dep_delay"].map(column);
    let mut totals: BTreeMap<String, (u32, u32, Vec<f64>)> = BTreeMap::new();
    for row in rows.records().map(Result::unwrap) {
        let (flights, cancelled, delays) = totals.entry(row[carrier].to_owned()).or_default();
        *flights += 1;
        *cancelled += u32::from(&row[departed] == "NA");
        delays.extend(row[delayed].parse::<f64>().ok());
    }
    let line = |(carrier, (flights, cancelled, delays)): (&String, &(u32, u32, Vec<f64>))| {
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let mean = if delays.is_empty() { String::new() } else { format!("{mean:.3}") };
        format!("{carrier},{},{flights},{cancelled},{mean}\n", names[carrier])
    };
    format!("{HEADER}\n{}", totals.iter().map(line).collect::<String>())
}

#[test]
fn the_month_has_the_totals_that_a_plain_loop_finds() {
    let expected = totals(&month());
    for parallelism in ["1", "4"] {
        let folder = Folder::new();
        let output = folder.path("totals.csv");
        let done = run(&["--output", &output, "--parallelism", parallelism]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(std::fs::read_to_string(&output).unwrap(), expected);
        assert!(text(&done.stdout).contains("27004 rows read, 0 rejected"));
        assert_eq!(text(&done.stderr), "", "there is no progress bar in a pipe");
    }
}

/// How flights left by airport and wind, in a plain loop: `NA` is a band behind all others.
fn winds(flights: &[u8], weather: &[u8]) -> String {
    let mut winds = BTreeMap::new();
    let mut rows = csv::Reader::from_reader(weather);
    let columns = rows.headers().unwrap().clone();
    let column = |name| columns.iter().position(|column| column == name).unwrap();
    let [origin, hour, speed] = ["origin", "time_hour", "wind_speed"].map(column);
    for row in rows.records().map(Result::unwrap) {
        let band = row[speed].parse::<f64>().ok().map(|speed| (speed / 10.0).floor() as u32 * 10);
        winds.insert((row[origin].to_owned(), row[hour].to_owned()), band);
    }
    let mut rows = csv::Reader::from_reader(flights);
    let columns = rows.headers().unwrap().clone();
    let column = |name| columns.iter().position(|column| column == name).unwrap();
    let [origin, hour, delayed] = ["origin", "time_hour", "dep_delay"].map(column);
    let mut bands: BTreeMap<(String, u32), (u32, Vec<f64>)> = BTreeMap::new();
    for row in rows.records().map(Result::unwrap) {
        let band = winds.get(&(row[origin].to_owned(), row[hour].to_owned())).copied().flatten();
        let key = (row[origin].to_owned(), band.unwrap_or(u32::MAX));
        let (flights, delays) = bands.entry(key).or_default();
        *flights += 1;
        delays.extend(row[delayed].parse::<f64>().ok());
    }
    let line = |((origin, band), (flights, delays)): (&(String, u32), &(u32, Vec<f64>))| {
        let band = if *band == u32::MAX { "NA".to_owned() } else { band.to_string() };
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let mean = if delays.is_empty() { String::new() } else { format!("{mean:.3}") };
        format!("{origin},{band},{flights},{mean}\n")
    };
    format!("origin,band,flights,mean_dep_delay\n{}", bands.iter().map(line).collect::<String>())
}

#[test]
fn the_wind_of_a_flight_is_that_of_its_airport_and_hour() {
    let weather = unpacked("weather-2013-01.csv.gz");
    // Every third hour is missing, and every seventh has no speed.
    let mut holes = csv::Writer::from_writer(Vec::new());
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(&*weather);
    for (number, row) in rows.records().map(Result::unwrap).enumerate() {
        let blank = |(column, field)| if column == 9 { "NA" } else { field };
        match number {
            0 => holes.write_record(&row).unwrap(),
            _ if number % 3 == 0 => {}
            _ if number % 7 == 0 => holes.write_record(row.iter().enumerate().map(blank)).unwrap(),
            _ => holes.write_record(&row).unwrap(),
        }
    }
    let folder = Folder::new();
    for (weather, parallelism) in [(weather, "1"), (holes.into_inner().unwrap(), "4")] {
        let expected = winds(&month(), &weather);
        let (data, output) = (folder.write("weather.csv", &weather), folder.path("winds.csv"));
        let options = ["--weather-data", &data, "--weather", &output, "--parallelism", parallelism];
        let done = run(&options);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(std::fs::read_to_string(&output).unwrap(), expected);
        assert!(text(&done.stdout).contains("27004 rows read, 0 rejected"));
    }
}

/// The hours by carrier in a plain loop, and how many rows come too late for theirs with a bound of
/// so many hours.
fn hours(content: &[u8], disorder: i64) -> (String, usize) {
    let mut rows = csv::Reader::from_reader(content);
    let columns = rows.headers().unwrap().clone();
    let column = |name| columns.iter().position(|column| column == name).unwrap();
    let [carrier, departed, delayed] = ["carrier", "dep_time", "dep_delay"].map(column);
    let [minute, hour] = ["minute", "time_hour"].map(column);
    let mut hours: BTreeMap<(i64, String), (u32, u32, Vec<f64>)> = BTreeMap::new();
    let (mut latest, mut late) = (i64::MIN, 0);
    for row in rows.records().map(Result::unwrap) {
        let hour = row[hour].parse::<jiff::Timestamp>().unwrap().as_second();
        let start = (hour + 60 * row[minute].parse::<i64>().unwrap()).div_euclid(3600) * 3600;
        if latest.saturating_sub(disorder * 3600) >= start + 3600 {
            late += 1;
            continue;
        }
        latest = latest.max(hour + 60 * row[minute].parse::<i64>().unwrap());
        let key = (start, row[carrier].to_owned());
        let (flights, cancelled, delays) = hours.entry(key).or_default();
        *flights += 1;
        *cancelled += u32::from(&row[departed] == "NA");
        delays.extend(row[delayed].parse::<f64>().ok());
    }
    let line =
        |((start, carrier), (flights, cancelled, delays)): (&(i64, String), &(_, _, Vec<f64>))| {
            let start = jiff::Timestamp::from_second(*start).unwrap();
            let mean = delays.iter().sum::<f64>() / delays.len() as f64;
            let mean = if delays.is_empty() { String::new() } else { format!("{mean:.3}") };
            let (flights, cancelled): (&u32, &u32) = (flights, cancelled);
            format!("{start},{carrier},{flights},{cancelled},{mean}\n")
        };
    (format!("{HOURS}\n{}", hours.iter().map(line).collect::<String>()), late)
}

#[test]
fn the_month_has_the_hours_that_a_plain_loop_finds() {
    let (expected, late) = hours(&month(), 24);
    assert_eq!((expected.lines().count(), late), (5134, 0));
    assert!(expected.contains(",1,1,\n"), "some hours have no delay to tell of");
    for parallelism in ["1", "4"] {
        let folder = Folder::new();
        let hourly = folder.path("hourly.csv");
        let done = run(&["--hourly", &hourly, "--parallelism", parallelism]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(std::fs::read_to_string(&hourly).unwrap(), expected);
        assert!(text(&done.stdout).contains("5133 hours by carrier, 0 rows came too late"));
        assert!(!text(&done.stdout).contains("Late rows"));
    }
}

#[test]
fn rows_that_come_later_than_the_bound_are_counted_and_shown() {
    let (expected, late) = hours(&month(), 1);
    let flights = |line: &str| line.split(',').nth(2).unwrap().parse::<usize>().unwrap();
    assert_eq!(expected.lines().skip(1).map(flights).sum::<usize>() + late, 27004);
    for parallelism in ["1", "4"] {
        let folder = Folder::new();
        let hourly = folder.path("hourly.csv");
        let bound = ["--disorder", "1", "--parallelism", parallelism];
        let done = run(&[&["--hourly", hourly.as_str()], bound.as_slice()].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(std::fs::read_to_string(&hourly).unwrap(), expected);
        let shown = text(&done.stdout);
        assert!(shown.contains(&format!(", {late} rows came too late for theirs")), "{shown}");
        assert!(shown.contains("Late rows, the first by schedule"), "{shown}");
    }
}

/// The worst three hours of each day and airport, in a plain loop over all windows: the ten worst,
/// as the cells of the table.
fn worst_three_hours(content: &[u8]) -> Vec<[String; 4]> {
    let mut rows = csv::Reader::from_reader(content);
    let columns = rows.headers().unwrap().clone();
    let column = |name| columns.iter().position(|column| column == name).unwrap();
    let [origin, delayed, hour] = ["origin", "dep_delay", "time_hour"].map(column);
    let mut windows: BTreeMap<(String, i64), (u32, Vec<f64>)> = BTreeMap::new();
    for row in rows.records().map(Result::unwrap) {
        let hour = row[hour].parse::<jiff::Timestamp>().unwrap().as_second() / 3600;
        for start in hour - 2..=hour {
            let window = windows.entry((row[origin].to_owned(), start)).or_default();
            window.0 += 1;
            window.1.extend(row[delayed].parse::<f64>().ok());
        }
    }
    let mut days: BTreeMap<(String, i64), (f64, i64, u32)> = BTreeMap::new();
    for ((airport, start), (flights, delays)) in windows {
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        // A day begins at ten o’clock UTC, and three hours belong to the one in which they end.
        let day = days.entry((airport, (start + 2 - 10).div_euclid(24)));
        let worst = day.or_insert((f64::MIN, 0, 0));
        if flights >= 10 && mean > worst.0 {
            *worst = (mean, start, flights);
        }
    }
    let mut worst: Vec<_> = days.into_iter().filter(|(_, worst)| worst.2 > 0).collect();
    worst.sort_by(|(_, one), (_, other)| other.0.total_cmp(&one.0));
    let cells = |((airport, _), (mean, start, flights)): ((String, i64), (f64, i64, u32))| {
        let start = jiff::Timestamp::from_second(start * 3600).unwrap().strftime("%d %b %H:%M");
        [airport, start.to_string(), flights.to_string(), format!("{mean:.1}")]
    };
    worst.into_iter().take(10).map(cells).collect()
}

#[test]
fn the_worst_three_hours_are_those_that_a_plain_loop_finds() {
    let shown = text(&run(&[]).stdout);
    let (_, table) = shown.split_once("Worst three hours of a day\n").unwrap();
    let (table, _) = table.split_once('└').unwrap();
    let cells = |line: &str| line.split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = table.lines().skip(3).map(cells).collect();
    let rows: Vec<&[String]> = rows.iter().map(|row| &row[1..5]).collect();
    assert_eq!(rows, worst_three_hours(&month()));
}

#[test]
fn rows_that_cannot_be_parsed_go_to_the_dead_letters_and_nothing_else_is_lost() {
    let folder = Folder::new();
    let month = text(&month());
    let mut lines: Vec<String> = month.lines().take(101).map(str::to_owned).collect();
    let good = lines.join("\n");
    lines
        .insert(3, "2013,1,1,not a time,515,2,830,819,11,UA,1545,N1,EWR,IAH,1,2,5,15,?".to_owned());
    lines.insert(50, "too,few".to_owned());
    let input = folder.write("some.csv", lines.join("\n"));
    let (output, letters) = (folder.path("totals.csv"), folder.path("letters.csv"));
    let done = run(&["--input", &input, "--output", &output, "--dead-letters", &letters]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(std::fs::read_to_string(&output).unwrap(), totals(good.as_bytes()));
    let letters = std::fs::read_to_string(&letters).unwrap();
    let mut letters: Vec<&str> = letters.lines().collect();
    letters.sort_unstable();
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(letters.iter().any(|line| line.contains("line 4")), "{letters:?}");
    assert!(letters.iter().any(|line| line.contains("line 51")), "{letters:?}");
    assert!(text(&done.stdout).contains("102 rows read, 2 rejected"), "{}", text(&done.stdout));
}

/// What fails must say so, name the operator and the place, and leave no file that looks complete.
fn fails(arguments: &[&str], output: &str, expected: &[&str]) {
    let done = run(arguments);
    let errors = text(&done.stderr);
    assert!(!done.status.success(), "it went well: {}", text(&done.stdout));
    for part in expected {
        assert!(errors.contains(part), "`{part}` is not in: {errors}");
    }
    assert!(!PathBuf::from(output).is_file(), "{output} looks complete");
}

#[test]
fn a_file_that_is_not_there_fails_the_job_with_its_name() {
    let folder = Folder::new();
    let (input, output) = (folder.path("missing.csv"), folder.path("totals.csv"));
    fails(&["--input", &input, "--output", &output], &output, &["`rows`", &input]);
}

#[test]
fn a_file_that_is_cut_off_inside_a_gzip_block_fails_the_job_with_the_line_reached() {
    let folder = Folder::new();
    let whole = std::fs::read(format!("{DATA}/flights-2013-01.csv.gz")).unwrap();
    let input = folder.write("cut.csv.gz", &whole[..whole.len() / 2]);
    let output = folder.path("totals.csv");
    fails(&["--input", &input, "--output", &output], &output, &["`rows`", &input, "line "]);
}

#[test]
fn a_disk_that_is_full_fails_the_job_with_the_name_of_the_sink() {
    if Path::new("/dev/full").exists() {
        fails(&["--output", "/dev/full"], "/dev/full", &["`output`", "/dev/full"]);
    }
}

#[test]
fn a_port_that_is_taken_fails_the_job_with_its_address() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, output) = (taken.local_addr().unwrap().to_string(), folder.path("totals.csv"));
    fails(&["--metrics", &address, "--output", &output], &output, &[&address]);
}

/// A replay that would take weeks, and the address at which it is served.
fn slow_replay(arguments: &[&str]) -> (Child, String, impl BufRead + use<>) {
    let mut child = flights()
        .args(["--replay", "1", "--metrics", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address =
        line.trim().strip_prefix("serving http://").and_then(|rest| rest.split('/').next());
    let address = address.unwrap_or_else(|| panic!("no address in: {line}")).to_owned();
    (child, address, errors)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: there may be no program of that name.
    let command = format!("kill -s {name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(sent.success());
}

#[cfg(unix)]
#[test]
fn a_replay_is_served_while_it_runs_and_drains_at_a_signal() {
    let folder = Folder::new();
    let output = folder.path("totals.csv");
    let (child, address, _errors) = slow_replay(&["--output", &output]);
    while !get(&address, "/graph").contains("\"records_in\":1") {
        // Its first row is on its way; each look is a round trip.
        std::thread::yield_now();
    }
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/graph").contains("\"parse\""));
    assert!(get(&address, "/metrics").contains("millstream_build_info"));
    signal(&child, "TERM");
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    let shown = text(&done.stdout);
    assert!(shown.contains("rows read, 0 rejected"), "{shown}");
    // What had been read by then is there, and the file is whole.
    assert!(std::fs::read_to_string(&output).is_ok_and(|totals| totals.ends_with('\n')), "{shown}");
}

#[cfg(unix)]
#[test]
fn the_help_names_every_option() {
    let help = text(&run(&["--help"]).stdout);
    let options = [
        "--input",
        "--output",
        "--hourly",
        "--disorder",
        "--dead-letters",
        "--parallelism",
        "--metrics",
        "--replay",
    ];
    assert!(options.iter().all(|option| help.contains(option)), "{help}");
}
