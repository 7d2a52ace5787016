//! The agreement with getty: who may read the consoles.
//!
//! While `/run/console/asking` exists, getty stops the sessions that it runs, and says so by
//! `/run/console/paused`. The file is removed however the questions end.

use crate::place::Place;
use crate::voice::NAME;
use std::path::PathBuf;
use std::time::Duration;

const ASKING: &str = "/run/console/asking";
const PAUSED: &str = "/run/console/paused";
/// An image without getty says nothing; then this is how long it takes to start asking.
const WAIT: Duration = Duration::from_secs(2);

/// The consoles are ours while this lives.
pub struct Asking {
    file: PathBuf,
}

impl Asking {
    pub async fn begin(place: &Place) -> std::io::Result<Self> {
        let file = place.at(ASKING);
        std::fs::write(&file, format!("{NAME}\n"))?;
        let asking = Self { file };
        let step = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        while waited < WAIT && !place.at(PAUSED).exists() {
            tokio::time::sleep(step).await;
            waited += step;
        }
        Ok(asking)
    }

    /// Gives the consoles back that an earlier run of this program kept, by being killed.
    pub fn end_earlier(place: &Place) {
        let _ = std::fs::remove_file(place.at(ASKING));
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_lives_as_long_as_the_questions() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path());
        assert!(Asking::begin(&place).await.is_err(), "there is no folder yet");
        std::fs::create_dir_all(place.at("/run/console")).unwrap();
        std::fs::write(place.at(PAUSED), "").unwrap();
        let begun = std::time::Instant::now();
        let asking = Asking::begin(&place).await.unwrap();
        assert!(begun.elapsed() < WAIT);
        assert_eq!(place.text(ASKING), "device-discovery\n");
        drop(asking);
        assert!(!place.at(ASKING).exists());
        std::fs::remove_file(place.at(PAUSED)).unwrap();
        drop(tokio::time::timeout(Duration::from_millis(100), Asking::begin(&place)).await);
        assert!(!place.at(ASKING).exists(), "also when given up while waiting");
        std::fs::write(place.at(ASKING), "").unwrap();
        Asking::end_earlier(&place);
        assert!(!place.at(ASKING).exists());
    }
}
