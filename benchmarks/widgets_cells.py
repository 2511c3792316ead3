"""What the notebooks of `benchmarks.widgets` hold, and what it asks their kernels."""

OPTIMIZERS = ("GradientDescent", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam")

RACE = f"""
from lib.widgets import DescentRace
race = DescentRace("ravine", optimizers={OPTIMIZERS!r}, learning_rate=0.01)
race
"""

# What a reader would write with interact: the grid is made once, the figure each time.
INTERACT = f"""
import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import FloatLogSlider, interact
from lib.descent import Race
from lib.surfaces import SURFACES

place = SURFACES["ravine"]
x0, x1, y0, y1 = place.bounds
grid = place.grid(97).numpy()
x, y = np.linspace(x0, x1, 97), np.linspace(y0, y1, 97)

def draw(learning_rate):
    global last
    settings = {{name: {{"learning_rate": learning_rate}} for name in {OPTIMIZERS!r}}}
    last = Race(place, settings, place.start, steps=200).run()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    left.contour(x, y, grid, levels=13, colors="grey", linewidths=0.7)
    left.set(xlim=(x0, x1), ylim=(y0, y1))
    for name, path, losses in zip(last.names, last.paths, last.losses):
        left.plot(*path.T, label=name)
        right.semilogy(losses - place.lowest + 1e-16)
    left.legend()
    plt.show()

rates = FloatLogSlider(value=0.01, min=-5, max=1, step=0.02)
interact(draw, learning_rate=rates);
"""

SAME = """
race.set(learning_rate=rates.value)
print(np.array_equal(race.run().losses, last.losses, equal_nan=True))
"""

NETWORK = """
import asyncio, json, time
import lib.model_race
from lib.widgets import ModelRace

made = {}  # step -> when its record was made

class Noted(lib.model_race.ModelRace):
    def record(self):
        super().record()
        made[self.step] = time.time()

import lib.widgets.model_race
lib.widgets.model_race.Simulation = Noted
race = ModelRace(speed="1", steps=2000, device="cpu")
race
"""

# All train the same steps from the same weights. `bare` is the loop with no record, no
# map and no page; `watch` is what "play" does at full speed; `alone` is `run()`.
TURNS = """
def bare(steps):
    simulation = race._fresh()
    simulation.advance(20)
    began = time.perf_counter()
    simulation.advance(steps)
    return steps / (time.perf_counter() - began)

async def watch(steps):
    race.do_reset()
    await asyncio.sleep(0.3)
    made.clear()
    race.values.update(steps=steps + 20, speed="0")
    race.do_play()

def watched():
    # by the times of the records: a loop that looks often would slow what it measures
    first, last = min(step for step in made if step >= 20), max(made)
    return (last - first) / (made[last] - made[first])

def alone(steps):
    race.do_reset(); race.finish()
    race.run(20)
    began = time.perf_counter()
    race.run(steps)
    return steps / (time.perf_counter() - began)
"""
