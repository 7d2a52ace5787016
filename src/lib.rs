//! `hookos` turns a site's settings into a bootable kernel and initramfs.
//!
//! The modules stand on four floors, and an import never runs up:
//!
//! | floor | modules | knows |
//! |---|---|---|
//! | 4 faces | [`cli`], [`tui`] | people |
//! | 3 jobs | [`build`], [`boot`], [`history`], [`probe`], [`publish`], [`doctor`], [`lint`] | what is done in which order |
//! | 2 domain | [`site`], [`component`], [`kernel`], [`linuxkit`] | HookOS |
//! | 1 mechanism | [`store`], [`http`], [`oci`], [`docker`], [`debian`], [`initramfs`] | formats |
//!
//! Small modules serve every floor: [`problem`] (errors as people see them), [`progress`] (how long work tells
//! that it moves, and learns that it must stop), [`process`] (programs that can be stopped), [`replace`] (files
//! that are there whole or not at all), [`secret`] (what is masked) and [`near`] ("did you mean").
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod boot;
pub mod build;
pub mod cli;
pub mod component;
pub mod debian;
pub mod docker;
pub mod doctor;
pub mod history;
pub mod http;
pub mod initramfs;
pub mod kernel;
pub mod lint;
pub mod linuxkit;
pub mod near;
pub mod oci;
pub mod probe;
pub mod problem;
pub mod process;
pub mod progress;
pub mod publish;
pub mod replace;
pub mod secret;
pub mod site;
pub mod store;
pub mod tui;
pub mod words;
