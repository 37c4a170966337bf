//! Tests of the chat in virtual time.

use super::*;

/// Every turn of alice's, under one seed of the schedule.
async fn chat(questions: u64, silent_after: Option<u64>, seed: u64) -> (Vec<Turn>, Duration) {
    let options = Options { questions, silent_after, graph: false, metrics: None };
    let (flow, turns) = graph(&options);
    let quiet = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let job = flow.run_with(quiet.with_seed(seed).with_schedule_seed(seed));
    let report = tokio::time::timeout(Duration::from_secs(3600), job).await;
    let report = report.unwrap_or_else(|_| panic!("seed {seed}: they wait for ever")).unwrap();
    (report.take(turns).unwrap(), report.elapsed())
}

/// Which questions were asked, and how often each.
fn asked(turns: &[Turn]) -> Vec<(u64, usize)> {
    let asked = |turn: &Turn| turn.says.as_ref().map(|says| says.number);
    let numbers: Vec<_> = turns.iter().filter_map(asked).collect();
    numbers.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect()
}

#[tokio::test(start_paused = true)]
async fn every_question_is_answered_although_messages_are_late_and_lost() {
    for seed in 0..100 {
        let (turns, _) = chat(40, None, seed).await;
        let asked = asked(&turns);
        let numbers: Vec<_> = asked.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>(), "seed {seed}");
        assert!(asked.iter().any(|(_, times)| *times > 1), "nothing was late or lost");
        let last = turns.last().unwrap();
        assert!(last.over && last.heard == Some(Answer(40, 1600)), "{last:?}");
        assert_eq!(turns.iter().filter(|turn| turn.over).count(), 1);
        let answers = turns.iter().filter_map(|turn| turn.heard.as_ref());
        assert!(answers.clone().all(|Answer(number, square)| number * number == *square));
    }
}

#[tokio::test(start_paused = true)]
async fn alice_asks_so_often_and_then_gives_up_and_both_go_home() {
    for silent_after in [0, 1, 5] {
        let (turns, elapsed) = chat(10, Some(silent_after), 0).await;
        let asked = asked(&turns);
        assert_eq!(*asked.last().unwrap(), (silent_after + 1, TRIES as usize));
        let last = turns.last().unwrap();
        assert!(last.over && last.heard.is_none() && last.says.is_none(), "{last:?}");
        assert!(elapsed >= PATIENCE * TRIES as u32, "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn alice_is_patient_and_hears_late_answers_to_what_she_asked_again() {
    let (turns, _) = chat(40, None, 0).await;
    let again = |pair: &[Turn]| pair[1].heard.is_none() && pair[1].says.is_some();
    let repeated = turns.windows(2).filter(|pair| again(pair)).count();
    let late = turns.iter().filter(|turn| turn.says.is_none() && !turn.over).count();
    assert!(repeated > 3 && late > 0, "{repeated} asked again, {late} answered again");
    assert!(late <= repeated, "nobody answers what was not asked");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_chat_wherever_it_is() {
    for millis in (0..2000).step_by(97) {
        let options = Options { questions: 999, silent_after: None, graph: false, metrics: None };
        let (flow, turns) = graph(&options);
        let job = flow.start().unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let report = job.drain(Duration::from_secs(1)).await.unwrap();
        let turns = report.take(turns).unwrap();
        assert!(turns.iter().all(|turn| !turn.over), "it was cut short");
    }
}
