//! The provisioning worker of a machine: its image is pulled and its container runs, whatever happens in
//! between.
//!
//! [`wanted`] is what the kernel command line asks for, [`pull`] and [`worker`] bring it about, [`keep`]
//! does so again whenever it is no longer true. [`talk`] says what goes on, without secrets.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backoff;
pub mod engine;
pub mod image;
pub mod kpi;
pub mod places;
pub mod pull;
pub mod talk;
pub mod wanted;
pub mod watch;
pub mod words;
pub mod worker;

use backoff::Backoff;
use places::Places;
use std::time::Duration;
use talk::Talk;
use wanted::Wanted;

pub const NAME: &str = "bootkit";

/// Brings the worker up and keeps it up, for ever.
pub async fn keep(wanted: &Wanted, places: &Places, talk: &mut Talk) {
    let Some(image) = wanted.image() else {
        talk.tell(
            "there is no worker to run: the kernel command line names one neither in tink_worker_image= nor by \
             docker_registry=; add one of them in the boot loader's menu",
        );
        return std::future::pending().await;
    };
    let image = match image {
        Ok(image) => image,
        Err(why) => {
            talk.tell(&why);
            return std::future::pending().await;
        }
    };
    if wanted.worker_id.is_empty() {
        talk.tell("the kernel command line has no worker_id=; no workflow can be found for this machine");
    }
    if let Some(why) = wanted.credentials_kept_back(&image) {
        talk.say(&why);
    }
    let mut waits = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));
    loop {
        let docker = engine::connect(&places.socket, talk).await;
        let running = match worker::adopt(&docker, wanted, &image).await {
            Some(id) => {
                talk.say("the worker runs already");
                Ok(id)
            }
            None => {
                pull::pull(&docker, wanted, &image, talk).await;
                worker::start(&docker, wanted, &image, places, talk).await
            }
        };
        let wait = match running {
            Ok(id) => {
                talk.news(&format!("the worker {} runs", image.full));
                waits.reset();
                let why = watch::until_gone(&docker, &id, talk).await;
                talk.tell(&why);
                Duration::from_secs(1)
            }
            Err(why) => {
                let wait = waits.wait();
                talk.tell_once(&why);
                talk.say(&format!("trying again in {} s", wait.as_secs()));
                wait
            }
        };
        tokio::time::sleep(wait).await;
    }
}
