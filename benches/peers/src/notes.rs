//! What people have written about the aims that are missed: a section for each workload or curve,
//! by its name. The page can't be made before every missed aim has one.

use std::collections::BTreeMap;

/// Paragraphs by the name of what they are about.
pub(crate) struct Notes(BTreeMap<String, String>);

impl Notes {
    /// From a page in which each begins with `## name`. What stands before the first is for those
    /// who write it.
    pub(crate) fn parse(page: &str) -> Self {
        let sections = page.split("\n## ").skip(1);
        let named = sections.filter_map(|section| section.split_once('\n'));
        Self(named.map(|(name, text)| (name.trim().into(), text.trim().into())).collect())
    }

    /// The paragraphs about `names`, in that order.
    ///
    /// # Errors
    ///
    /// If one of them has none.
    pub(crate) fn about<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(&'a str, &str)>, String> {
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for name in names {
            match self.0.get(name).filter(|text| !text.is_empty()) {
                Some(text) => found.push((name, text.as_str())),
                None => silent.push(name),
            }
        }
        if silent.is_empty() {
            return Ok(found);
        }
        Err(format!(
            "no page: {} missed an aim, and notes.md does not say why. Write a paragraph for each, \
             under a heading `## name`",
            silent.join(", ")
        ))
    }
}
