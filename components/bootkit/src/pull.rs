//! Getting the worker's image.

use crate::backoff::Backoff;
use crate::image::Image;
use crate::talk::Talk;
use crate::wanted::Wanted;
use crate::words;
use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use std::time::Duration;

/// A pull that says nothing for so long is given up and begun anew.
const STALLED: Duration = Duration::from_secs(120);

/// Pulls the image, again and again until it is there. An image that the engine has already is used
/// when the pull fails: it may have come with the machine, and its registry need not exist.
pub async fn pull(docker: &Docker, wanted: &Wanted, image: &Image, talk: &mut Talk) {
    // Short at first: the way to the registry opens when the machine has its tokens.
    let mut waits = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    talk.say(&format!("pulling {}", image.full));
    while let Err(why) = once(docker, wanted, image, talk).await {
        talk.tell_once(&format!("cannot pull {}: {}", image.full, words::of_pull(&why)));
        if docker.inspect_image(&image.full).await.is_ok() {
            talk.tell_once(&format!("using the image {} that is here already", image.full));
            return;
        }
        let wait = waits.wait();
        talk.say(&format!("trying again in {} s", wait.as_secs()));
        tokio::time::sleep(wait).await;
    }
}

async fn once(docker: &Docker, wanted: &Wanted, image: &Image, talk: &mut Talk) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::new().from_image(&image.full).build();
    let mut answers = docker.create_image(Some(options), None, wanted.credentials(image));
    loop {
        match tokio::time::timeout(STALLED, answers.next()).await {
            Err(_) => return Err(format!("no progress for {} s", STALLED.as_secs())),
            Ok(None) => return Ok(()),
            Ok(Some(Err(e))) => return Err(words::message(&e)),
            Ok(Some(Ok(answer))) => {
                // With an id it is a layer's progress, many times a second.
                if let (None, Some(status)) = (&answer.id, &answer.status) {
                    talk.say(status);
                }
            }
        }
    }
}
