"""Measure what the recogniser reaches, and write it to RESULTS.md beside this file.

    FSDD_DIR=… python tests/benchmarks/run_all.py [ROW …]

Rows are measured by the course's own commands, each in a process of its own, and kept in a file
in the work folder; naming rows measures only those again and leaves the others as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_utils.paths import REPOSITORY, work_folder

FSDD = os.environ.get("FSDD_DIR", "")
PEOPLE = os.environ.get("PEOPLE_DIR", "")  # folders en and zh, of a few more people each
SHIPPED = str(REPOSITORY / "data" / "digits_en")
MANDARIN = str(REPOSITORY / "data" / "digits_zh")
CHOSEN_BY = ("george", "jackson")  # the settings were chosen by these speakers, not by others
FSDD_LAYOUT = ("--layout", "digit_speaker_take")
SHIPPED_LAYOUT = ("--layout", "speaker_digit")
NOTES_ACCURACY = 0.863  # the best of the notes' recipe in 100 epochs
NOTES_EPOCHS = 100


def shown(arguments: tuple[object, ...]) -> str:
    """Return a command as a reader would type it."""
    text = " ".join(["python -m course_utils", *map(str, arguments)])
    for folder, name in (
        (FSDD, "$FSDD_DIR"),
        (PEOPLE, "$PEOPLE_DIR"),
        (SHIPPED, "data/digits_en"),
        (MANDARIN, "data/digits_zh"),
    ):
        text = text.replace(folder, name) if folder else text
    return text


def course(*arguments: object) -> None:
    command = [sys.executable, "-m", "course_utils", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def train(folder: Path, *arguments: object) -> dict[str, Any]:
    course("train", *arguments, "--out", folder)
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def evaluate(folder: Path, root: str, layout: tuple[str, str]) -> dict[str, Any]:
    course("evaluate", folder / "model.pt", root, *layout, "--json", folder / "other.json")
    return json.loads((folder / "other.json").read_text(encoding="utf-8"))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def chosen_and_others(per_speaker: list[dict[str, float]]) -> tuple[str, str]:
    """Return the means over the speakers that settings were chosen by, and over the others."""
    chosen = [share for run in per_speaker for name, share in run.items() if name in CHOSEN_BY]
    others = [share for run in per_speaker for name, share in run.items() if name not in CHOSEN_BY]
    return percent(mean(chosen)), percent(mean(others))


def shipped_to_real(folder: Path) -> dict[str, str]:
    runs, results, seconds = 3, [], []
    for seed in range(runs):
        out = folder / str(seed)
        arguments = (SHIPPED, *SHIPPED_LAYOUT, "--split", "all", "--seed", seed)
        seconds.append(train(out, *arguments)["seconds"])
        results.append(evaluate(out, FSDD, FSDD_LAYOUT))
    chosen, apart = chosen_and_others([result["per_speaker"] for result in results])
    each = ", ".join(
        f"{name} {percent(mean([r['per_speaker'][name] for r in results]))}"
        for name in results[0]["per_speaker"]
    )
    each += "; seeds " + ", ".join(percent(result["test_accuracy"]) for result in results)
    if PEOPLE:
        others = [evaluate(folder / str(seed), f"{PEOPLE}/en", FSDD_LAYOUT) for seed in range(runs)]
        counts = [round(10 * result["test_accuracy"]) for result in others]
        each += f"; another person's ten digits {', '.join(map(str, counts))} of 10"
    return {
        "what": f"trained on the shipped digits alone, tested on real people; {runs} seeds",
        "goal": "94 %",
        "all": percent(mean([result["test_accuracy"] for result in results])),
        "chosen": chosen,
        "others": apart,
        "more": f"{each}; training {mean(seconds):.0f} s",
        "command": shown(("train", SHIPPED, *SHIPPED_LAYOUT, "--split", "all", "--seed", "S"))
        + "; "
        + shown(("evaluate", "DIR/model.pt", FSDD, *FSDD_LAYOUT)),
    }


def mandarin_to_real(folder: Path) -> dict[str, str]:
    runs, results = 3, []
    for seed in range(runs):
        out = folder / str(seed)
        train(out, MANDARIN, *SHIPPED_LAYOUT, "--split", "all", "--seed", seed)
        results.append(evaluate(out, f"{PEOPLE}/zh", FSDD_LAYOUT))
    each = ", ".join(
        f"{name} {percent(mean([r['per_speaker'][name] for r in results]))}"
        for name in results[0]["per_speaker"]
    )
    accuracies = [result["test_accuracy"] for result in results]
    return {
        "what": f"trained on the shipped Mandarin digits, tested on real people; {runs} seeds",
        "goal": "90 %",
        "all": percent(mean(accuracies)),
        "chosen": percent(mean(accuracies)),
        "others": "",
        "more": f"{each}; seeds {', '.join(map(percent, accuracies))}; ten clips a person, and all "
        "three were looked at when the sounds were made",
        "command": shown(("train", MANDARIN, *SHIPPED_LAYOUT, "--split", "all", "--seed", "S"))
        + "; "
        + shown(("evaluate", "DIR/model.pt", f"{PEOPLE}/zh", *FSDD_LAYOUT)),
    }


def takes(folder: Path) -> dict[str, str]:
    results = []
    for seed in range(3):
        for part in ("0-4", "5-9", "10-14"):
            out = folder / f"{seed}-{part}"
            options = ("--split", f"takes:{part}", "--seed", seed)
            results.append(train(out, FSDD, *FSDD_LAYOUT, *options))
    accuracies = [result["test_accuracy"] for result in results]
    chosen, others = chosen_and_others([result["per_speaker"] for result in results])
    return {
        "what": "FSDD by takes, the same speakers on both sides; 3 seeds x 3 parts",
        "goal": "99.5 % in 60 s",
        "all": percent(mean(accuracies)),
        "chosen": chosen,
        "others": others,
        "more": f"worst {percent(min(accuracies))}; {max(r['seconds'] for r in results):.0f} s at "
        f"most; {results[0]['parameters']:,} parameters",
        "command": shown(("train", FSDD, *FSDD_LAYOUT, "--split", "takes:A-B", "--seed", "S")),
    }


def lenet(folder: Path) -> dict[str, str]:
    options = (FSDD, *FSDD_LAYOUT, "--split", "official", "--model", "lenet", "--seed")
    results = [train(folder / str(seed), *options, seed) for seed in range(3)]
    chosen, others = chosen_and_others([result["per_speaker"] for result in results])
    return {
        "what": "LeNet-5, FSDD's official split; 3 seeds",
        "goal": "97 % in 15 s",
        "all": percent(mean([result["test_accuracy"] for result in results])),
        "chosen": chosen,
        "others": others,
        "more": f"{max(result['seconds'] for result in results):.0f} s at most",
        "command": shown((*("train", *options), "S")),
    }


def loso(folder: Path) -> dict[str, str]:
    options = (FSDD, *FSDD_LAYOUT, "--split", "loso", "--seed")
    results = [train(folder / str(seed), *options, seed) for seed in range(3)]
    names = list(results[0]["per_speaker"])
    each = {name: mean([result["per_speaker"][name] for result in results]) for name in names}
    chosen, others = chosen_and_others([each])
    seconds = max(result["seconds"] for result in results) / len(names)
    return {
        "what": f"leave one speaker out, {len(names)} folds; {len(results)} seeds",
        "goal": "88 % (six speakers: 95 %, worst 92 %), 60 s a fold",
        "all": percent(mean(list(each.values()))),
        "chosen": chosen,
        "others": others,
        "more": ", ".join(f"{name} {percent(share)}" for name, share in each.items())
        + "; seeds "
        + ", ".join(percent(result["mean"]) for result in results)
        + f"; {seconds:.0f} s a fold",
        "command": shown((*("train", *options), "S")),
    }


def real_to_shipped(folder: Path) -> dict[str, str]:
    options = ("--split", "all")
    train(folder / "0", FSDD, *FSDD_LAYOUT, *options)
    result = evaluate(folder / "0", SHIPPED, SHIPPED_LAYOUT)
    low, high = result["speaker_interval"]
    return {
        "what": "trained on FSDD, tested on the shipped digits (in place of a third corpus)",
        "goal": "85 % on a third corpus",
        "all": percent(result["test_accuracy"]),
        "chosen": "",
        "others": percent(result["test_accuracy"]),
        "more": f"95 % over speakers {percent(low)} to {percent(high)}",
        "command": shown(("train", FSDD, *FSDD_LAYOUT, *options))
        + "; "
        + shown(("evaluate", "DIR/model.pt", SHIPPED, *SHIPPED_LAYOUT)),
    }


class NotesData:
    """The notes' data set as they write it; only the digit stands elsewhere in FSDD's names."""

    def __init__(self, names: list[Path]) -> None:
        import torchaudio

        self.names = names
        self.fbank = torchaudio.transforms.Spectrogram(1024)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import torchaudio
        import torchvision

        x, fs = torchaudio.load(self.names[index])
        if x.shape[0] > 1:
            x = x[0:1, :]
        if fs != 16000:
            x = torchaudio.transforms.Resample(fs, 16000)(x)
        x = torchvision.transforms.Resize((80, 80))(self.fbank(x))
        return x, int(self.names[index].name[0])


def speed(folder: Path) -> dict[str, str]:
    """Time LeNet-5 until it passes the notes' best, and the notes' recipe as written."""
    import torch
    from torch.utils.data import DataLoader

    from course_utils import metrics, models, splits, training
    from course_utils.recordings import SpokenWords

    # The first optimiser imports half of torch; neither recipe is charged for imports.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    start = time.perf_counter()
    data = SpokenWords(FSDD, layout="digit_speaker_take")
    split = splits.split_official(data)
    pictures = data.pictures(n_mels=32, n_frames=32)
    torch.set_num_threads(1)  # LeNet-5 is too small to share
    passed: list[float] = []

    def passes(line: str) -> None:
        if passed:
            return
        if metrics.accuracy(model, pictures[split.test], data.labels[split.test]) > NOTES_ACCURACY:
            passed.append(time.perf_counter() - start)
            raise KeyboardInterrupt
        model.train()

    training.seed_everything(0)
    model = models.LeNet5()
    training.fit(
        model,
        pictures[split.train],
        data.labels[split.train],
        pictures[split.valid],
        data.labels[split.valid],
        training.Recipe(epochs=5, learning_rate=3e-3, batch_size=32, augment=None),
        report=passes,
    )

    names = [data.paths[i] for i in split.train + split.valid]  # the notes keep no validation part
    loader = DataLoader(NotesData(names), batch_size=16, num_workers=4, shuffle=True)
    torch.set_num_threads(os.cpu_count() or 1)
    network = models.NotesNetwork()
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    start = time.perf_counter()
    for x, y in loader:
        loss = torch.nn.CrossEntropyLoss()(network(x), y)
        adam.zero_grad()
        loss.backward()
        adam.step()
    epoch = time.perf_counter() - start
    ratio = NOTES_EPOCHS * epoch / passed[0] if passed else 0
    return {
        "what": "LeNet-5 to pass 86.3 %, against 100 epochs of the notes' recipe",
        "goal": "200 times",
        "all": f"{ratio:.0f} times",
        "chosen": "",
        "others": "",
        "more": f"{passed[0] if passed else 0:.1f} s with loading and features, without imports, "
        f"against {NOTES_EPOCHS} x {epoch:.1f} s (one epoch of {len(names):,} clips measured, four "
        "workers as the notes have them)",
        "command": "speed in this file",
    }


def loading(folder: Path) -> dict[str, str]:
    from course_utils.recordings import SpokenWords

    start = time.perf_counter()
    data = SpokenWords(FSDD, layout="digit_speaker_take")
    data.pictures()
    seconds = (time.perf_counter() - start) * 3000 / len(data)
    return {
        "what": f"loading and features, once, for 3,000 clips (from {len(data):,})",
        "goal": "1.5 s",
        "all": f"{seconds:.2f} s",
        "chosen": "",
        "others": "",
        "more": "",
        "command": "loading in this file",
    }


GROWTH = """
import resource, sys, time
from course_utils.recordings import SpokenWords
data = SpokenWords(sys.argv[1], layout="digit_speaker_take")
count = int(sys.argv[2])
places = [i % len(data) for i in range(count)]
data.paths = [data.paths[i] for i in places]
start = time.perf_counter()
pictures = data.pictures(cache=sys.argv[3])
seconds = time.perf_counter() - start
assert len(pictures) == count
status = open("/proc/self/status", encoding="utf-8").read()
anonymous = int(status.split("RssAnon:")[1].split()[0])
print(seconds / count * 1e3, anonymous / 1024)
"""


def growth(folder: Path) -> dict[str, str]:
    figures = {}
    for count in (3_000, 100_000):
        command = [sys.executable, "-c", GROWTH, FSDD, str(count), str(folder / str(count))]
        output = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
        figures[count] = [float(word) for word in output.split()]
    (small, small_memory), (large, large_memory) = figures.values()
    return {
        "what": "cost per clip at 100,000 clips (repeated ones) against 3,000",
        "goal": "1.1 times, memory flat",
        "all": f"{large / small:.2f} times",
        "chosen": "",
        "others": "",
        "more": f"{small:.2f} and {large:.2f} ms a clip; anonymous memory {small_memory:.0f} and "
        f"{large_memory:.0f} MB",
        "command": "growth in this file",
    }


# Trains for as many epochs as its argument says, and tells when the first one has ended.
TRAINING = """
import hashlib, sys, time, torch
from course_utils import models, training
torch.set_num_threads(2)
training.seed_everything(0)
x, y = torch.randn(1440, 1, 40, 48).clamp(-2, 2), torch.arange(1440) % 10
model = models.Ensemble(10)
ends = []
def end(line):
    ends.append(time.perf_counter())
    print("under way", flush=True)
recipe = training.Recipe(epochs=int(sys.argv[1]))
training.fit(model, x, y, recipe=recipe, report=end)
digest = hashlib.sha256()
for value in models.copy_weights(model).values():
    digest.update(value.numpy().tobytes())
print((ends[3] - ends[0]) / 3, digest.hexdigest())
"""
LOOP = "print('under way', flush=True)\nwhile True: pass"


def epoch_seconds(beside: list[str], **variables: str) -> tuple[float, str]:
    """Return the mean seconds of epochs 2 to 4 while other programs run all the time, and a digest.

    A mean: the quickest of three epochs may be one in which the others happened to wait.
    """
    plain = {name: v for name, v in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    environment = plain | variables
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code, "100"], stdout=subprocess.PIPE, env=environment
        )
        for code in beside
    ]
    try:
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()
        answer = subprocess.run(
            [sys.executable, "-c", TRAINING, "4"],
            check=True,
            capture_output=True,
            encoding="utf-8",
            env=environment,
        )
    finally:
        running = [other.poll() is None for other in others]
        for other in others:
            other.kill()
            other.wait()
    assert all(running), "the others ended too early"
    seconds, digest = answer.stdout.splitlines()[-1].split()
    return float(seconds), digest


def threads(folder: Path) -> dict[str, str]:
    """Time an epoch with threads that spin where they wait, as PyTorch's do, and with calm ones."""
    beside = {"idle": [], "beside two busy loops": [LOOP] * 2, "beside a training": [TRAINING]}
    shown_rows, ratios, digests = [], {}, set()
    for name, others in beside.items():
        spinning, one = epoch_seconds(others)
        calm, other = epoch_seconds(others, GOMP_SPINCOUNT="1000")
        digests |= {one, other}
        ratios[name] = spinning / calm
        shown_rows.append(f"{name} {spinning:.2f} and {calm:.2f} s")
    same = "the same bits" if len(digests) == 1 else "other bits"
    return {
        "what": "an epoch of 1,440 clips, spinning threads against calm ones (GOMP_SPINCOUNT=1000)",
        "goal": "beside a training 4 times faster, beside two busy loops 1.3 times, idle 0.87",
        "all": ", ".join(f"{ratio:.2f} times {name}" for name, ratio in ratios.items()),
        "chosen": "",
        "others": "",
        "more": f"{', '.join(shown_rows)}; {same}",
        "command": "threads in this file",
    }


ROWS: dict[str, Callable[[Path], dict[str, str]]] = {
    "shipped": shipped_to_real,
    "mandarin": mandarin_to_real,
    "takes": takes,
    "lenet": lenet,
    "loso": loso,
    "third": real_to_shipped,
    "speed": speed,
    "loading": loading,
    "growth": growth,
    "threads": threads,
}


def write_results(results: dict[str, dict[str, str]]) -> None:
    lines = [
        "# What was measured",
        "",
        "Written by `python tests/benchmarks/run_all.py`, with FSDD_DIR set.",
        "",
        f"Settings were chosen by the speakers {' and '.join(CHOSEN_BY)}; the column *others* "
        "holds the speakers that had no part in that. Where the same speakers are on both sides "
        "of a split, this only parts the people. Four choices were made with the scores of all "
        "four in sight, and by those of the two they would be the same: three networks instead of "
        "one; pooling in 5 x 3 cells, with masks and with more cuts and noise in training; that "
        "the word in a short clip reaches over its quiet parts; and other voices in place of cuts "
        "where few speakers are.",
        "",
        "| what | to reach | all | chosen by | others | more |",
        "|---|---|---|---|---|---|",
    ]
    kept = [results[name] for name in ROWS if name in results]
    for row in kept:
        cells = [row[key] for key in ("what", "goal", "all", "chosen", "others", "more")]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## The commands, and when they ran", ""]
    for row in kept:
        lines.append(f"- {row['what']}: `{row['command']}`; {row['circumstances']}")
    text = "\n".join(lines) + "\n"
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


def circumstances(start: float) -> str:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return (
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS {threads}, load average {os.getloadavg()[0]:.1f}, "
        f"{time.perf_counter() - start:.0f} s in all, "
        f"{used.ru_utime + used.ru_stime:.0f} s of processor time so far"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}; all if not given")
    names = parser.parse_args().rows or [row for row in ROWS if row != "mandarin" or PEOPLE]
    if unknown := set(names) - set(ROWS):
        parser.error(f"there is no row {', '.join(unknown)}")
    if not FSDD:
        parser.error("set FSDD_DIR to the folder of real recordings")
    kept = work_folder() / "benchmarks.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for name in names:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            results[name] = ROWS[name](Path(folder))
        results[name]["circumstances"] = circumstances(start)
        kept.write_text(json.dumps(results, indent=2), encoding="utf-8")
        write_results(results)
        print(f"{name}: {results[name]['all']} ({results[name]['more']})", flush=True)


if __name__ == "__main__":
    main()
