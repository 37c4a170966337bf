//! The metrics that the console states itself. They are written out at each scrape instead of going
//! through the facade, so that a pipeline that is no longer watched leaves no series behind.

use std::fmt::Write as _;

use crate::watched::{Status, WatchedJob};

pub(crate) fn render(jobs: &[WatchedJob]) -> String {
    let mut text = String::from(concat!(
        "# HELP millstream_build_info Always 1, labelled with the version of Millstream.\n",
        "# TYPE millstream_build_info gauge\n",
        "millstream_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1\n",
    ));
    let mut pipelines: Vec<_> = jobs.iter().map(|job| job.pipeline.as_str()).collect();
    pipelines.sort_unstable();
    pipelines.dedup();
    if pipelines.is_empty() {
        return text;
    }
    text.push_str(
        "\n# HELP millstream_pipeline_state Whether a watched pipeline is in the state.\n\
         # TYPE millstream_pipeline_state gauge\n",
    );
    for pipeline in pipelines {
        for status in Status::ALL {
            let is_so = |job: &WatchedJob| job.pipeline == pipeline && job.status == status;
            let value = u8::from(jobs.iter().any(is_so));
            let (pipeline, state) = (escape(pipeline), status.name());
            // Writing to a string can't fail.
            writeln!(
                text,
                "millstream_pipeline_state{{pipeline=\"{pipeline}\",state=\"{state}\"}} {value}"
            )
            .ok();
        }
    }
    text
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_keeps_to_its_line() {
        assert_eq!(super::escape("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
