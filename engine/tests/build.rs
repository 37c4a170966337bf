//! What is found wrong with a graph before it runs, how operators are named, and how it is drawn.

use millstream_engine::edge::Discipline;
use millstream_engine::graph::{
    Blueprint, Distribution, EdgeId, EdgeOptions, OperatorId, Role, StageBlueprint, StageDraft,
};
use millstream_engine::runtime::{JobOptions, Run};
use millstream_engine::{BuildError, Error, ErrorKind};

/// A stage that is never run.
struct Drawn;

impl StageBlueprint for Drawn {
    fn build(&self, _: &mut Run<'_>, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

struct Sketch(Blueprint);

impl Sketch {
    fn new() -> Self {
        Self(Blueprint::new("sketch"))
    }

    fn operator(&self, role: Role, name: &str) -> OperatorId {
        self.0.add_operator(role, "kind", Some(name))
    }

    fn edge(&self, options: EdgeOptions) -> EdgeId {
        self.0.add_edge::<u64>("stream", options)
    }

    /// A stage of one operator, `input → name → outputs`.
    fn stage(&self, name: &str, parallelism: usize, input: Option<EdgeId>, outputs: &[EdgeId]) {
        let role = match (input, outputs) {
            (None, _) => Role::Source,
            (Some(_), []) => Role::Sink,
            (Some(_), _) => Role::Operator,
        };
        let operator = self.operator(role, name);
        for &edge in outputs {
            let _port = self.0.connect(edge, operator);
        }
        let draft = StageDraft { operators: vec![operator], input, parallelism };
        self.0.add_stage(draft, Drawn);
    }

    fn mistakes(&self) -> Vec<BuildError> {
        match self.0.validate() {
            Ok(()) => Vec::new(),
            Err(error) => match error.kind() {
                ErrorKind::Build(mistakes) => mistakes.clone(),
                other => panic!("{other:?}"),
            },
        }
    }
}

fn name(name: &str) -> String {
    name.to_owned()
}

#[test]
fn a_graph_without_a_source_is_empty() {
    let empty = Sketch::new();
    assert_eq!(empty.mistakes(), [BuildError::Empty(name("sketch"))]);
}

#[test]
fn a_stream_that_goes_nowhere_is_named_by_its_last_operator() {
    let sketch = Sketch::new();
    let edge = sketch.edge(EdgeOptions::default());
    sketch.stage("in", 1, None, &[edge]);
    let nowhere = |operator| BuildError::GoesNowhere { operator: name(operator) };
    assert_eq!(sketch.mistakes(), [nowhere("in")]);

    let sketch = Sketch::new();
    let _source = sketch.operator(Role::Source, "in");
    let _step = sketch.operator(Role::Operator, "step");
    let _other = sketch.operator(Role::Source, "other");
    assert_eq!(sketch.mistakes(), [nowhere("step"), nowhere("other")]);
}

#[test]
fn what_an_operator_is_refused_for_is_said_behind_its_name() {
    let sketch = Sketch::new();
    let edge = sketch.edge(EdgeOptions::default());
    sketch.stage("source", 1, None, &[edge]);
    sketch.stage("sink", 1, Some(edge), &[]);
    assert_eq!(sketch.mistakes(), []);
    let operator = sketch.operator(Role::Operator, "search");
    sketch.0.refuse(operator, "has no steps: say some");
    // And what one within it is refused for.
    let inner = Blueprint::new("inner");
    inner.refuse(inner.add_operator(Role::Operator, "kind", None), "is refused too");
    sketch.0.enclose(operator, &inner);
    let refused = |mistake: &str| BuildError::Refused {
        operator: name("search"),
        mistake: mistake.to_owned(),
    };
    let mistakes = sketch.mistakes();
    for mistake in ["has no steps: say some", "is refused too"] {
        assert!(mistakes.contains(&refused(mistake)), "{mistakes:?}");
    }
    assert_eq!(refused("has no steps").to_string(), "`search` has no steps");
}

#[test]
fn a_stream_needs_somebody_who_feeds_it() {
    let sketch = Sketch::new();
    let (fed, starved) = (sketch.edge(EdgeOptions::default()), sketch.edge(EdgeOptions::default()));
    sketch.stage("in", 1, None, &[fed]);
    sketch.stage("out", 1, Some(fed), &[]);
    sketch.stage("hungry", 1, Some(starved), &[]);
    let stream = name("stream");
    assert_eq!(sketch.mistakes(), [BuildError::NoProducer { stream }]);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let sketch = Sketch::new();
    let edge = sketch.edge(EdgeOptions {
        capacity: Some(0),
        capacity_bytes: Some(0),
        ..EdgeOptions::default()
    });
    sketch.stage("twin", 0, None, &[edge]);
    sketch.stage("twin", 1, Some(edge), &[]);
    let _loose = sketch.operator(Role::Operator, "loose");
    let zero = |what, operator| BuildError::Zero { what, operator: name(operator) };
    let expected = [
        BuildError::DuplicateName { name: name("twin") },
        BuildError::GoesNowhere { operator: name("loose") },
        zero("the parallelism", "twin"),
        zero("the output capacity", "twin"),
        zero("the output capacity in bytes", "twin"),
    ];
    assert_eq!(sketch.mistakes(), expected);
    let error = sketch.0.validate().unwrap_err().to_string();
    let text = "the dataflow can't run: more than one operator is named `twin`; \
                the stream behind `loose` goes nowhere; the parallelism of `twin` is zero; \
                the output capacity of `twin` is zero; the output capacity in bytes of `twin` \
                    is zero";
    assert_eq!(error, text);
}

#[test]
fn instances_that_do_not_match_are_to_be_rebalanced() {
    for (from, to, distribution, fine) in [
        (2, 3, Distribution::Forward, false),
        (2, 2, Distribution::Forward, true),
        (2, 1, Distribution::Forward, true),
        (1, 2, Distribution::Forward, false),
        (2, 3, Distribution::Rebalance, true),
        (2, 3, Distribution::Key, true),
    ] {
        let sketch = Sketch::new();
        let edge = sketch.edge(EdgeOptions { distribution, ..EdgeOptions::default() });
        sketch.stage("in", from, None, &[edge]);
        sketch.stage("out", to, Some(edge), &[]);
        let mismatch = BuildError::Mismatch {
            from: name("in"),
            from_instances: from,
            to: name("out"),
            to_instances: to,
        };
        let expected = if fine { vec![] } else { vec![mismatch] };
        assert_eq!(sketch.mistakes(), expected, "{from} to {to}");
    }
}

#[test]
fn a_cycle_is_refused() {
    let sketch = Sketch::new();
    let [into, around, out] = [(); 3].map(|()| sketch.edge(EdgeOptions::default()));
    sketch.stage("in", 1, None, &[into]);
    sketch.stage("first", 1, Some(into), &[around]);
    sketch.stage("second", 1, Some(around), &[into, out]);
    sketch.stage("out", 1, Some(out), &[]);
    let operator = name("first");
    assert_eq!(sketch.mistakes(), [BuildError::Cycle { operator }]);
}

#[test]
fn a_stage_that_a_cycle_feeds_is_not_named_for_it() {
    let sketch = Sketch::new();
    let [into, around, out] = [(); 3].map(|()| sketch.edge(EdgeOptions::default()));
    sketch.stage("in", 1, None, &[into]);
    sketch.stage("in order", 1, Some(into), &[]);
    sketch.stage("fed by it", 1, Some(out), &[]);
    sketch.stage("itself", 1, Some(around), &[around, out]);
    let operator = name("itself");
    assert_eq!(sketch.mistakes(), [BuildError::Cycle { operator }]);
}

#[test]
fn branches_that_meet_in_turn_are_refused_and_other_inputs_are_not() {
    let concat = EdgeOptions { discipline: Discipline::Concat, ..EdgeOptions::default() };
    let sketch = Sketch::new();
    let [left, right] = [(); 2].map(|()| sketch.edge(EdgeOptions::default()));
    let met = sketch.edge(concat);
    sketch.stage("in", 1, None, &[left, right]);
    sketch.stage("left", 1, Some(left), &[met]);
    sketch.stage("right", 1, Some(right), &[met]);
    sketch.stage("out", 1, Some(met), &[]);
    let expected = BuildError::SelectiveFanIn { fan_out: name("in"), fan_in: name("out") };
    assert_eq!(sketch.mistakes(), [expected]);

    let sketch = Sketch::new();
    let met = sketch.edge(concat);
    sketch.stage("one", 1, None, &[met]);
    sketch.stage("two", 1, None, &[met]);
    sketch.stage("out", 1, Some(met), &[]);
    assert_eq!(sketch.mistakes(), []);
}

/// Two sources that part, and meet at two places of which one has the given discipline.
fn crossed(second: Discipline) -> Vec<BuildError> {
    let select = EdgeOptions { discipline: Discipline::Select, ..EdgeOptions::default() };
    let sketch = Sketch::new();
    let one = sketch.edge(select);
    let two = sketch.edge(EdgeOptions { discipline: second, ..EdgeOptions::default() });
    sketch.stage("left", 1, None, &[one, two]);
    sketch.stage("right", 1, None, &[one, two]);
    sketch.stage("first", 1, Some(one), &[]);
    sketch.stage("second", 1, Some(two), &[]);
    sketch.mistakes()
}

#[test]
fn two_that_wait_for_each_other_by_way_of_their_inputs_are_refused() {
    let mistakes = crossed(Discipline::Select);
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    for (mistake, reader) in mistakes.into_iter().zip(["first", "second"]) {
        let BuildError::SelectiveFanIn { fan_out, fan_in } = mistake else {
            panic!("{mistake}");
        };
        assert_eq!(fan_in, name(reader));
        assert!([name("left"), name("right")].contains(&fan_out), "{fan_out}");
    }
    // One that takes what comes breaks the circle.
    assert_eq!(crossed(Discipline::Merge), []);
}

/// A source and three maps, one of them with a name that a number would have given another.
fn small() -> Sketch {
    let sketch = Sketch::new();
    let edge =
        sketch.edge(EdgeOptions { distribution: Distribution::Key, ..EdgeOptions::default() });
    let source = sketch.operator(Role::Source, "say \"hi\"");
    let add = |kind, name| sketch.0.add_operator(Role::Operator, kind, name);
    let first = [source, add("map", None), add("map", Some("map-2")), add("map", None)];
    let sink = sketch.0.add_operator(Role::Sink, "count", None);
    let _port = sketch.0.connect(edge, first[3]);
    for (operators, input, parallelism) in [(first.to_vec(), None, 1), (vec![sink], Some(edge), 4)]
    {
        let draft = StageDraft { operators, input, parallelism };
        sketch.0.add_stage(draft, Drawn);
    }
    sketch
}

#[test]
fn operators_without_a_name_are_numbered_around_those_that_have_one() {
    let view = small().0.view(&JobOptions::default()).unwrap();
    let names: Vec<_> = view.operators.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["say \"hi\"", "map", "map-2", "map-3", "count"]);
    assert_eq!(view.stages[0].name, "say \"hi\" → map → map-2 → map-3");
    assert_eq!(view.edges[0].name, "map-3 → count");
    assert_eq!(view.edges[0].channels, 4);
}

#[test]
fn the_options_of_the_job_settle_what_an_edge_leaves_open() {
    let options = JobOptions::default().with_batch_records(8);
    let edge = small().0.view(&options).unwrap().edges.remove(0);
    assert_eq!((edge.batch_records, edge.capacity_records), (8, 128));
    let edge = small().0.view(&options.clone().with_edge_capacity(3)).unwrap().edges.remove(0);
    assert_eq!((edge.batch_records, edge.capacity_records), (3, 3));
    let huge = options.with_batch_records(usize::MAX);
    let edge = small().0.view(&huge).unwrap().edges.remove(0);
    assert_eq!(edge.capacity_records, usize::MAX);
}

#[test]
fn is_drawn_as_dot() {
    let expected = r#"digraph "sketch" {
  rankdir=LR;
  node [shape=box, style=rounded];
  subgraph cluster_0 {
    label="";
    o0 [label="say \"hi\"", shape=cds];
    o1 [label="map"];
    o2 [label="map-2"];
    o3 [label="map-3"];
  }
  o0 -> o1;
  o1 -> o2;
  o2 -> o3;
  subgraph cluster_1 {
    label="4 instances";
    o4 [label="count", shape=cylinder];
  }
  o3 -> o4 [label="by key", style=bold];
}
"#;
    assert_eq!(small().0.view(&JobOptions::default()).unwrap().to_dot(), expected);
}

#[test]
fn is_drawn_as_mermaid() {
    let expected = r#"flowchart LR
  subgraph s0 [" "]
    o0(["say #quot;hi#quot;"])
    o1["map"]
    o2["map-2"]
    o3["map-3"]
    o0 --> o1
    o1 --> o2
    o2 --> o3
  end
  subgraph s1 ["4 instances"]
    o4[("count")]
  end
  o3 ==>|by key| o4
"#;
    assert_eq!(small().0.view(&JobOptions::default()).unwrap().to_mermaid(), expected);
}
