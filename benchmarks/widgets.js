// What benchmarks/widgets.py puts into JupyterLab's page: stopwatches.
window.bench = {
  took: null, // milliseconds of the last change, once it is on the screen
  log: [], // [drawn, sent, newest step] of each picture, in seconds of Date.now()
  sent: 0, // messages from the widget to the kernel since count()
  shownRun: null,

  live: () => document.querySelector(".lm-live").live,
  kernel: () => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel,

  // Time the next event of this kind: from its time stamp, which the browser gives it
  // on arrival, to the end of the first frame in which mark() has changed.
  await(mark, kind = "keydown") {
    bench.took = null;
    const before = mark();
    document.addEventListener(kind, (event) => {
      const painted = new MessageChannel(); // its task comes after the frame's drawing
      painted.port1.onmessage = () => {
        const now = mark();
        if (now === null || now === before) wait();
        else bench.took = performance.now() - event.timeStamp;
      };
      const wait = () => requestAnimationFrame(() => painted.port2.postMessage(0));
      wait();
    }, { capture: true, once: true });
  },

  // The run that the race's last draw() showed to its end; null while one is coming.
  follow() {
    const view = bench.live();
    const draw = view.draw.bind(view);
    view.draw = (now) => {
      draw(now);
      const { run, complete } = view.root.dataset;
      bench.shownRun = complete === "true" ? run : null;
    };
    view.link.invalidate();
  },
  race: () => bench.shownRun,
  position: () => bench.live().root.dataset.position,
  readout: () => bench.live().readout.textContent,

  // The picture that interact shows; null while it is not there or not decoded.
  picture() {
    const image = document.querySelector(".jp-Notebook .widget-interact img");
    return image && image.complete && image.naturalWidth ? image.src : null;
  },

  occupy(seconds) {
    const code = `import time; time.sleep(${seconds})`;
    bench.kernel().requestExecute({ code, store_history: false });
  },

  count() {
    const { link } = bench.live();
    const send = link.send.bind(link);
    bench.sent = 0;
    link.send = (content) => { bench.sent += 1; send(content); };
  },

  // Pictures drawn since the last call that showed news from the kernel.
  tally() {
    const view = bench.live();
    if (bench.drawings === undefined) {
      const draw = view.draw.bind(view);
      let shown = 0;
      view.draw = (now) => {
        draw(now);
        if (view.link.seq > shown) bench.drawings += 1;
        shown = view.link.seq;
      };
    }
    const count = bench.drawings;
    bench.drawings = 0;
    return count;
  },

  // Move a slider to and fro like a quick hand, 60 times a second, from where it is to
  // the side with more room. Gives the milliseconds between the pictures with news from
  // the kernel.
  async drag(slider, seconds) {
    bench.tally(); // counts from here on
    const [low, high, at] = [slider.min, slider.max, slider.value].map(Number);
    const reach = (at - low > high - at ? -0.3 : 0.3) * (high - low);
    const began = performance.now();
    const times = [];
    let seen = 0;
    for (let now = began; now < began + 1000 * seconds; now = performance.now()) {
      slider.value = at + reach * Math.sin((now - began) / 800) ** 2;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((done) => { setTimeout(done, 16); });
      if (bench.drawings > seen) times.push(performance.now());
      seen = bench.drawings;
    }
    slider.value = at;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    return times.slice(1).map((time, k) => time - times[k]);
  },

  // Log each picture that shows news from the kernel.
  watch() {
    const view = bench.live();
    if (view.watchedByBench) return;
    view.watchedByBench = true;
    const [message, draw] = [view.message.bind(view), view.draw.bind(view)];
    let sent = 0;
    view.message = (content, buffers) => {
      message(content, buffers);
      sent = content.sent;
    };
    view.draw = (now) => {
      draw(now);
      if (sent) bench.log.push([Date.now() / 1000, sent, view.newest]);
      sent = 0;
    };
  },
};
