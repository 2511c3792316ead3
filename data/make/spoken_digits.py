"""Makes data/spoken_digits.npz: the ten digits, spoken by the program espeak-ng.

    python data/make/spoken_digits.py [--to FOLDER]

Needs espeak-ng (Debian: apt-get install espeak-ng; made with version 1.51) and scipy.
Every voice says "zero" to "nine" at several speeds and pitches. The sound is cut where
it is silent, brought to 8,000 samples a second and to the same loudness, and stored
with 8 bits a sample by the mu-law of telephones (ITU-T G.711), which gives soft sounds
finer steps than loud ones.

The file holds four arrays: `sound` (all recordings end to end, uint8), `length` (how
many samples each has), `digit`, and `voice` (an index into `voices`).
"""

import argparse
import io
import subprocess
import wave
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

HERE = Path(__file__).resolve().parent
WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
RATE, MU = 8000, 255
# Name here: accent and variant of espeak-ng. The variants change throat and pitch.
VOICES = {
    "Alba": "en-gb-scotland+f2",
    "Bruce": "en-gb+m3",
    "Carol": "en-us+f3",
    "Dave": "en-us+m1",
    "Edith": "en-gb-x-rp+f4",
    "Frank": "en-us-nyc+m7",
    "Grace": "en-029+f1",
    "Harry": "en-gb-x-gbclan+m4",
    "Iris": "en-gb-x-gbcwmd+f5",
    "Jack": "en-gb-x-rp+m2",
    "Kate": "en-us+f2",
    "Liam": "en-gb-scotland+m6",
}
# Words a minute and pitch (0 to 99).
MANNERS = [(130, 40), (155, 55), (180, 48)]


def speak(word: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    """What espeak-ng says: float samples from -1 to 1, RATE a second."""
    command = ["espeak-ng", "-v", voice, "-s", f"{speed}", "-p", f"{pitch}", "--stdout"]
    said = subprocess.run([*command, word], capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(said)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(-1), dtype="<i2")
    return resample_poly(samples / 32768, RATE, rate)


def trim(samples: np.ndarray) -> np.ndarray:
    """Without the silence before and after; the loudest sample is 0.9."""
    samples = samples * (0.9 / np.abs(samples).max())
    loud = np.abs(samples) > 0.02
    first, last = loud.argmax(), len(loud) - loud[::-1].argmax()
    return samples[max(0, first - 80) : last + 80]


def mu_law(samples: np.ndarray) -> np.ndarray:
    """-1 ... 1 to 0 ... 255, in steps that grow with the loudness (G.711)."""
    bent = np.sign(samples) * np.log1p(MU * np.abs(samples)) / np.log1p(MU)
    return np.round((bent + 1) / 2 * MU).astype(np.uint8)


def make() -> dict[str, np.ndarray]:
    sounds, digits, voices = [], [], []
    for v, voice in enumerate(VOICES.values()):
        for speed, pitch in MANNERS:
            for digit, word in enumerate(WORDS):
                sounds.append(mu_law(trim(speak(word, voice, speed, pitch))))
                digits.append(digit)
                voices.append(v)
    return {
        "sound": np.concatenate(sounds),
        "length": np.array([len(s) for s in sounds], dtype=np.int32),
        "digit": np.array(digits, dtype=np.uint8),
        "voice": np.array(voices, dtype=np.uint8),
        "voices": np.array(list(VOICES)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / "spoken_digits.npz"
    arrays = make()
    np.savez_compressed(path, **arrays)
    longest = arrays["length"].max() / RATE
    print(f"{path}: {len(arrays['digit'])} recordings, the longest {longest:.2f} s")


if __name__ == "__main__":
    main()
