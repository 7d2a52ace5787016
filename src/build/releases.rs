//! Which kernels a site can have: releases, and the places that have each of them.

use super::image::Request;
use super::kernel::{KernelPlace, settings};
use crate::kernel::series::SERIES;
use crate::kernel::source::{self, Plan};
use crate::oci::import::Error;
use crate::oci::repository::Repository;
use crate::problem::Result;
use crate::progress::Silent;
use crate::site::{Id, KernelSource};
use serde::Serialize;
use std::collections::BTreeMap;

/// A kernel that a site can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// As in `5.10.262-1` (Debian's) or `5.10.228`.
    pub version: String,
    pub from: KernelSource,
    /// As in `5.10`.
    pub series: String,
    /// The third number. Debian's kernels are not chosen by it.
    pub point: i64,
    /// Who has it, in words.
    pub places: Vec<String>,
}

/// What some places have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Releases {
    /// What each place says of the kernel that is chosen.
    pub places: Vec<KernelPlace>,
    /// The newest first.
    pub releases: Vec<Release>,
    /// The newest point release of each long-term series, where kernel.org or its mirror was asked.
    pub newest: BTreeMap<String, i64>,
}

impl Releases {
    /// Both; a release that both have has the places of both.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.places.extend(other.places.iter().cloned());
        self.newest.extend(other.newest.clone());
        for release in &other.releases {
            self.add(release.clone());
        }
        self
    }

    fn add(&mut self, release: Release) {
        let same = |r: &&mut Release| (&r.version, r.from) == (&release.version, release.from);
        match self.releases.iter_mut().find(same) {
            Some(known) => known.places.extend(release.places),
            None => self.releases.push(release),
        }
        let key = |r: &Release| (numbers(&r.series), r.point, r.from == KernelSource::Debian);
        self.releases.sort_by_key(|release| std::cmp::Reverse(key(release)));
    }

    fn add_source(&mut self, plan: &Plan, point: i64, place: &str) {
        let series = plan.settings.series.clone();
        let places = vec![place.to_owned()];
        self.add(Release {
            version: format!("{series}.{point}"),
            from: KernelSource::Source,
            series,
            point,
            places,
        });
    }
}

/// `5.10` after `5.9`.
fn numbers(series: &str) -> Vec<u64> {
    series.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

impl Request<'_> {
    /// The plans of all series for which there is the site's configuration: the point release is that of the
    /// site. Uses no network.
    fn source_plans(&self) -> Result<Vec<Plan>> {
        let own = settings(self.site, self.root, self.jobs)?;
        let of = |series: String| Plan::new(source::Settings { series, ..own.clone() });
        source::configurations(&own.folder)
            .into_iter()
            .filter(|(name, _)| *name == own.config)
            .map(|(_, series)| of(series))
            .collect()
    }

    /// What this machine has. Asks nobody.
    pub fn kernels_here(&self) -> Releases {
        let mut found = Releases::default();
        let state =
            |stored: bool, otherwise: &str| if stored { "in the store" } else { otherwise }.to_owned();
        if let Ok(plan) = self.kernel_plan(self.site.list(Id::ModuleGroupsOff)) {
            let stored = plan.find(self.store).is_some();
            let (version, otherwise) = (plan.version(), "to be fetched as packages");
            found.places.push(KernelPlace {
                name: "Debian",
                has: format!("{version}, {}", state(stored, otherwise)),
            });
            let mut parts = version.split(['.', '-', '+', '~']);
            let mut part = || parts.next().unwrap_or_default();
            let series = format!("{}.{}", part(), part());
            let point = part().parse().unwrap_or(0);
            let places = vec![format!("Debian {}", plan.suite), state(stored, "")];
            let places = places.into_iter().filter(|place| !place.is_empty()).collect();
            found.add(Release {
                version: version.to_owned(),
                from: KernelSource::Debian,
                series,
                point,
                places,
            });
        }
        if let Ok(plan) = self.source_plan() {
            let stored = matches!(self.stored(&plan), Ok(Some(_)));
            let has = format!("{}, {}", plan.tag, state(stored, "not in the store"));
            found.places.push(KernelPlace { name: "source", has });
        }
        for plan in self.source_plans().unwrap_or_default() {
            for point in plan.stored_points(self.store) {
                found.add_source(&plan, point, "in the store");
            }
        }
        found
    }

    /// What the release service and kernel.org (or the mirror) have of kernels from source, asked once.
    pub fn kernels_elsewhere(&self) -> Releases {
        let mut found = Releases::default();
        let (Ok(plan), Ok(plans)) = (self.source_plan(), self.source_plans()) else { return found };
        let service = match plan.reference() {
            None => "none is named: oci_release_svc, or `repository` under [kernel]".to_owned(),
            Some(reference) => match self.tags(&reference, &plan.tag) {
                Ok(tags) => {
                    for tag in &tags {
                        for plan in &plans {
                            if let Some(point) = plan.point_of(tag) {
                                found.add_source(plan, point, "release service");
                            }
                        }
                    }
                    let has = if tags.contains(&plan.tag) { "has" } else { "does not have" };
                    format!("{has} {reference}")
                }
                Err(why) => format!("cannot be asked for {reference}: {why}"),
            },
        };
        let mirror = self.site.text(Id::KernelMirror).unwrap_or_default();
        let all: Vec<&str> = SERIES.iter().map(|series| series.name).collect();
        let newest = match source::download::newest_points(&mirror, &plan.settings, &all, &Silent) {
            Ok(newest) => {
                found.newest = newest;
                let series = &plan.settings.series;
                let newest = found.newest.get(series).map_or_else(
                    || format!("has no release of {series}"),
                    |point| format!("newest of {series} is {series}.{point}"),
                );
                format!("{newest}; chosen is {}", plan.settings.version())
            }
            Err(problem) => format!("cannot be asked: {}", problem.what()),
        };
        for plan in &plans {
            if let Some(point) = found.newest.get(&plan.settings.series).copied() {
                found.add_source(plan, point, "kernel.org, the newest");
            }
        }
        found.places.push(KernelPlace { name: "release service", has: service });
        found.places.push(KernelPlace { name: "kernel.org", has: newest });
        found
    }

    /// The tags of a registry's repository, with this one if it is there, or in one line why it cannot say.
    fn tags(&self, reference: &str, tag: &str) -> std::result::Result<Vec<String>, String> {
        let options = self.registry().map_err(|problem| problem.what().to_owned())?;
        let there = Repository::reading(reference, &options, &Silent).map_err(in_short)?;
        // Not every registry tells its tags, nor all of them.
        let mut tags = there.tags().unwrap_or_default();
        if !tags.iter().any(|other| other == tag) && there.peek(tag).map_err(in_short)?.is_some() {
            tags.push(tag.to_owned());
        }
        Ok(tags)
    }
}

/// An error in one line.
fn in_short(error: Error) -> String {
    match error {
        Error::Refused { why, .. } => why,
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, from: KernelSource, series: &str, point: i64, place: &str) -> Release {
        let (version, series) = (version.to_owned(), series.to_owned());
        Release { version, from, series, point, places: vec![place.to_owned()] }
    }

    #[test]
    fn a_release_is_named_once_with_all_its_places_and_the_newest_comes_first() {
        use KernelSource::{Debian, Source};
        let mut here = Releases::default();
        here.add(release("5.10.228", Source, "5.10", 228, "in the store"));
        here.add(release("5.10.262-1", Debian, "5.10", 262, "Debian bullseye"));
        let mut there = Releases::default();
        there.add(release("5.10.228", Source, "5.10", 228, "release service"));
        there.add(release("5.10.262", Source, "5.10", 262, "kernel.org, the newest"));
        there.add(release("6.1.9", Source, "6.1", 9, "kernel.org, the newest"));
        there.newest.insert("6.1".to_owned(), 9);
        let all = here.with(&there);
        let versions: Vec<_> = all.releases.iter().map(|r| r.version.as_str()).collect();
        assert_eq!(versions, ["6.1.9", "5.10.262-1", "5.10.262", "5.10.228"]);
        assert_eq!(all.releases[3].places, ["in the store", "release service"]);
        assert_eq!(all.newest["6.1"], 9);
    }
}
