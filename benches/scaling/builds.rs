//! The compiler: how long a user waits after a change of a job with many fused operators.

use crate::curve::{Aim, Curve, Size};
use crate::scratch::Scratch;

const OPERATORS: &[Size] = &[Size(0, "none"), Size(10, "10"), Size(30, "30")];

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "build-behind-source",
        question: "How long does a release build take after a touch, with so many operators fused \
                   behind a source?",
        x: "operators",
        y: "s",
        aim: Aim::AtMost { aim: 2.0, must: Some(3.0) },
        points: OPERATORS,
        measure: |operators| touched("behind-source", "", operators),
    },
    Curve {
        name: "build-behind-edge",
        question: "And behind an edge?",
        x: "operators",
        y: "s",
        aim: Aim::AtMost { aim: 2.0, must: Some(3.0) },
        points: OPERATORS,
        measure: |operators| touched("behind-edge", ".boundary()", operators),
    },
];

fn touched(name: &str, seam: &str, operators: u64) -> Result<f64, String> {
    let name = format!("{name}-{operators}");
    let scratch = Scratch::new(&name, "", &program(seam, operators))?;
    scratch.build()?;
    scratch.touch()?;
    Ok(scratch.build()?.as_secs_f64())
}

/// A job with so many maps and filters.
fn program(seam: &str, operators: u64) -> String {
    let mut program = format!(
        "use millstream::prelude::*;\n\n#[tokio::main(flavor = \"current_thread\")]\n\
         async fn main() {{\n    let flow = Dataflow::new(\"job\");\n    let sum = flow\n        \
         .source(\"numbers\", source::from_iter(0..1_000_u64)){seam}\n"
    );
    for n in 0..operators {
        let step = match n % 3 {
            0 => format!(".map(|n| n.wrapping_mul(3).wrapping_add({n}))"),
            1 => format!(".filter(|n| n % {} != 0)", n + 5),
            _ => format!(".map(|n| n ^ (n >> {}))", n % 7 + 1),
        };
        program.push_str(&format!("        {step}\n"));
    }
    program.push_str(
        "        .fold(0_u64, |sum, n| *sum = sum.wrapping_add(n));\n    \
         let report = flow.run().await.expect(\"nothing fails\");\n    \
         println!(\"{:?}\", report.take(sum));\n}\n",
    );
    program
}
