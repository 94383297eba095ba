//! What is wrong with the topics' settings, said when it begins and when it ends.

use std::collections::BTreeSet;

use metrics::gauge;

use super::settings::{Problem, Weight};
use crate::LogError;

/// What was found of each topic, by its name on the brokers.
pub(super) type Found = Vec<(String, Vec<Problem>)>;

/// What is known to be wrong.
#[derive(Debug)]
pub(super) struct Problems {
    /// Topics and texts.
    known: BTreeSet<(String, String)>,
}

impl Problems {
    /// What was found at the start.
    ///
    /// # Errors
    /// [`LogError::Topic`] for the first that receiptd does not start with.
    pub(super) fn at_start(found: Found) -> Result<Problems, LogError> {
        for (name, problems) in &found {
            if let Some(problem) = problems.iter().find(|problem| problem.weight >= Weight::Refuses) {
                return Err(LogError::Topic { name: name.clone(), problem: problem.text.clone() });
            }
        }
        let mut problems = Problems { known: BTreeSet::new() };
        let _ = problems.again(found);
        Ok(problems)
    }

    /// What was found while it runs: says what is new and what is over, and answers why the log may be used no more.
    pub(super) fn again(&mut self, found: Found) -> Option<LogError> {
        let mut stop = None;
        let known = std::mem::take(&mut self.known);
        for (name, problems) in found {
            // A handful at most, and only for people to look at.
            #[allow(clippy::cast_precision_loss)]
            gauge!("receiptd_topic_settings_wrong", "topic" => name.clone()).set(problems.len() as f64);
            for Problem { weight, text } in problems {
                let problem = (name.clone(), text);
                if !known.contains(&problem) {
                    let (name, text) = &problem;
                    match weight {
                        Weight::Warns => tracing::warn!("the topic {name} {text}"),
                        Weight::Refuses | Weight::Seals => tracing::error!("the topic {name} {text}"),
                    }
                }
                if weight == Weight::Seals {
                    let (name, problem) = problem.clone();
                    stop.get_or_insert(LogError::TopicSetting { name, problem });
                }
                self.known.insert(problem);
            }
        }
        for (name, text) in known.difference(&self.known) {
            tracing::info!("no longer true: the topic {name} {text}");
        }
        stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(weight: Weight) -> Found {
        vec![("receipts.reads".to_owned(), vec![Problem { weight, text: "has x=1".to_owned() }])]
    }

    #[test]
    fn a_start_goes_on_with_warnings_only() {
        for (weight, starts) in [(Weight::Warns, true), (Weight::Refuses, false), (Weight::Seals, false)] {
            assert_eq!(Problems::at_start(found(weight)).is_ok(), starts, "{weight:?}");
        }
    }

    #[test]
    fn while_it_runs_only_what_nobody_would_notice_ends_it() {
        let mut problems = Problems::at_start(Found::new()).unwrap();
        for (weight, ends) in [(Weight::Warns, false), (Weight::Refuses, false), (Weight::Seals, true)] {
            let stop = problems.again(found(weight));
            assert_eq!(stop.is_some(), ends, "{weight:?}");
            assert!(stop.is_none_or(|error| error.to_string().contains("the topic receipts.reads has x=1")));
        }
    }
}
