// The page around hear.js: record, choose a file or listen, and draw what was heard.
// Sentences are set with textContent, so no name is ever read as HTML.

const RATE = 16000; // in Hz, of the sound that the network was trained on
const SECONDS = 2; // how long the button records
const LONGEST = 60; // seconds of a file
const LIVE_SAMPLES = 32768; // what an AnalyserNode gives at most: the last two seconds

const TEXTS = {
  en: {
    other: "中文",
    title: "A recogniser of spoken words",
    intro: "Everything is computed on this device. The page can send nothing: its policy forbids it.",
    speak: "Say one of the words",
    words: (words) => `Words: ${words}`,
    record: "Record",
    stop: "Stop",
    listen: "Listen",
    listenStop: "Stop listening",
    file: "or choose a file:",
    now: "Speak now.",
    listening: "Listening: say a word, and then another.",
    wait: "One moment.",
    nobody: "Nobody spoke.",
    heard: (word, from, to) => `${word} (heard from ${from} s to ${to} s)`,
    noSound: "This is no sound that the browser can decode: choose WAV, MP3 or M4A.",
    tooLong: `This file is longer than ${LONGEST} s: choose one with a single word.`,
    empty: "The recording holds no sound: record again, or choose a file.",
    lost: "The microphone was taken away while it recorded: record again, or choose a file.",
    denied: "The microphone is not allowed: allow it beside the page's address, or choose a file.",
    noMicrophone: "There is no microphone: plug one in, or choose a file.",
    insecure: "This page may not use the microphone: open it by https or as a file on this computer, or choose a sound file.",
    noRecorder: "This browser cannot record: use a newer one, or choose a file.",
    noLive: "This browser cannot listen at 16 kHz: use Record, which does the same.",
    broken: (name) => `The microphone does not work (${name}): close other programs that use it, or choose a file.`,
    wave: "Waveform; the part that was taken for the word is shaded.",
    picture: "Log-mel picture of the word: time to the right, frequency upwards, level as colour.",
    probability: (word) => `Probability of ${word}`,
    always: (count) => `A network with ${count} answers always gives one of them, whatever was said: the bars add up to 100 %.`,
    card: "About this model",
    by: "Trained by",
    network: "Network",
    trained: "Trained on",
    judged: "Accuracy",
    networks: { Ensemble: "three small CNNs", SmallCNN: "a small CNN", LeNet5: "LeNet-5" },
    parameters: (name, count) => `${name}, ${count} parameters`,
    clips: (clips, epochs) => [clips && `${clips} recordings`, epochs && `${epochs} epochs`].filter(Boolean).join(", ") || "not stated",
    people: (percent, people) => `${percent} % on ${people} people never heard in training`,
    person: (percent) => `${percent} % on one person never heard in training, who says little about others`,
    same: (percent) => `${percent} % on other recordings; nobody new was tested`,
    interval: (low, high) => ` (95 % interval: ${low} to ${high} %)`,
    untested: "Nobody was tested: how well it does on new people is not known.",
    unknown: "not stated",
    proof: (difference) => `Checked just now: this page computes what Python computed (largest difference of a probability: ${difference}).`,
    failed: (difference) => `This browser computes something else than Python (difference ${difference}): do not trust its answers.`,
    otherModel: "Use your own model: choose a page that `export` made:",
    noModel: "This is no page of a recogniser: make one with `python -m course_utils export`.",
    yours: "Your model is in use now.",
  },
  zh: {
    other: "English",
    title: "语音单词识别器",
    intro: "所有计算都在本机完成。页面的安全策略禁止它发送任何数据。",
    speak: "说出其中一个词",
    words: (words) => `词表：${words}`,
    record: "录音",
    stop: "停止",
    listen: "连续听",
    listenStop: "停止连续听",
    file: "或选择文件：",
    now: "请说。",
    listening: "正在听：说一个词，再说下一个。",
    wait: "请稍候。",
    nobody: "没有人说话。",
    heard: (word, from, to) => `${word}（${from} 秒到 ${to} 秒）`,
    noSound: "浏览器无法解码这个声音：请选择 WAV、MP3 或 M4A 文件。",
    tooLong: `文件超过 ${LONGEST} 秒：请选择只含一个词的文件。`,
    empty: "录音里没有声音：请重录，或选择文件。",
    lost: "录音途中麦克风被断开：请重录，或选择文件。",
    denied: "麦克风未获允许：请在地址栏旁允许使用，或选择文件。",
    noMicrophone: "没有麦克风：请接上一个，或选择文件。",
    insecure: "这个页面不能使用麦克风：请用 https 打开，或在本机作为文件打开，也可以选择声音文件。",
    noRecorder: "这个浏览器不能录音：请换一个新版本，或选择文件。",
    noLive: "这个浏览器不能以 16 kHz 连续听：请用“录音”，效果相同。",
    broken: (name) => `麦克风不工作（${name}）：请关闭占用它的其他程序，或选择文件。`,
    wave: "波形；阴影是被当作单词的部分。",
    picture: "单词的对数梅尔图：横轴时间，纵轴频率，颜色表示电平。",
    probability: (word) => `${word} 的概率`,
    always: (count) => `只有 ${count} 个答案的网络，无论听到什么都会给出其中一个：各概率之和总是 100%。`,
    card: "关于这个模型",
    by: "训练者",
    network: "网络",
    trained: "训练数据",
    judged: "准确率",
    networks: { Ensemble: "三个小型 CNN", SmallCNN: "小型 CNN", LeNet5: "LeNet-5" },
    parameters: (name, count) => `${name}，${count} 个参数`,
    clips: (clips, epochs) => [clips && `${clips} 条录音`, epochs && `${epochs} 轮`].filter(Boolean).join("，") || "未注明",
    people: (percent, people) => `训练时没听过的 ${people} 个人：${percent}%`,
    person: (percent) => `训练时没听过的一个人：${percent}%，还说明不了别人的情况`,
    same: (percent) => `其他录音：${percent}%；没有测试过新的说话人`,
    interval: (low, high) => `（95% 置信区间：${low}% 到 ${high}%）`,
    untested: "没有测试过任何人：对新的说话人效果如何，尚不清楚。",
    unknown: "未注明",
    proof: (difference) => `刚刚核对过：本页算出的与 Python 一致（概率的最大差：${difference}）。`,
    failed: (difference) => `这个浏览器算出的与 Python 不同（差 ${difference}）：它的答案不可信。`,
    otherModel: "换成自己的模型：选择用 `export` 导出的网页：",
    noModel: "这不是识别器的网页：请用 `python -m course_utils export` 导出一个。",
    yours: "现在用的是你的模型。",
  },
};

const at = (id) => document.getElementById(id);
let model = readModel(at("model").textContent);
let language = navigator.language.startsWith("zh") ? "zh" : "en";
let text = TEXTS[language];
let shown = null; // what stands on the page: { samples, heard }
let status = []; // the name of the sentence and its detail, so that it changes with the language
let stop = null; // ends the recording that is being made
let live = null; // the context that listens

function say(name, detail) {
  status = [name, detail];
  const sentence = text[name] ?? "";
  at("status").textContent = typeof sentence === "function" ? sentence(detail) : sentence;
}

// ---------------------------------------------------------------- what was heard

function hear(samples) {
  shown = { samples, heard: recognise(samples, model) };
  show();
}

function show() {
  if (!shown) return;
  const { samples, heard } = shown;
  const seconds = [heard.start, heard.end].map((time) => time.toFixed(2));
  at("answer").textContent = heard.word === null ? text.nobody : text.heard(heard.word, ...seconds);
  drawWave(at("wave"), samples, heard);
  drawPicture(at("picture"), heard.picture);
  drawBars(heard.probabilities);
}

function drawWave(canvas, samples, heard) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  const x = (seconds) => (seconds * RATE * width) / samples.length;
  pen.fillStyle = "#cfe3f5";
  pen.fillRect(x(heard.start), 0, x(heard.end) - x(heard.start), height);
  const loudest = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  pen.fillStyle = "#08519c";
  for (let column = 0; column < width; column++) {
    const from = Math.floor((column * samples.length) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / width));
    const part = samples.slice(from, to);
    const [low, high] = [Math.min(...part), Math.max(...part)];
    const y = (value) => (height / 2) * (1 - value / loudest);
    pen.fillRect(column, y(high), 1, Math.max(1, y(low) - y(high)));
  }
}

function drawPicture(canvas, { values, shape }) {
  const pen = canvas.getContext("2d");
  const [, rows, columns] = shape;
  const [wide, high] = [canvas.width / columns, canvas.height / rows];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const share = (values[row * columns + column] + 2) / 4;
      pen.fillStyle = model.colours[Math.round(share * (model.colours.length - 1))];
      const top = canvas.height - (row + 1) * high; // low frequencies below
      pen.fillRect(Math.floor(column * wide), Math.floor(top), Math.ceil(wide), Math.ceil(high));
    }
}

function drawBars(probabilities) {
  const bars = model.words.map((word, n) => {
    const share = probabilities[n];
    const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: share });
    meter.setAttribute("aria-label", text.probability(word));
    const [name, number] = [word, `${(100 * share).toFixed(1)} %`].map((words) =>
      Object.assign(document.createElement("span"), { textContent: words }),
    );
    const bar = Object.assign(document.createElement("div"), { className: "bar" });
    bar.append(name, meter, number);
    return bar;
  });
  at("bars").replaceChildren(...bars);
}

// ---------------------------------------------------------------- sound from a file or recording

// Decoding in a context of 16 kHz also resamples.
async function samplesOf(file) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  if (sound.duration > LONGEST) throw new RangeError("too long");
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  return oneChannel(channels);
}

// The mean of the channels; where they cancel (one microphone wired the other way round), so that
// it keeps less than a tenth of the energy it should, the loudest of them, as in audio.to_mono.
function oneChannel(channels) {
  const total = channels[0].map((_, n) => sum(channels.map((channel) => channel[n])));
  const power = (samples) => samples.reduce((energy, value) => energy + value * value, 0);
  const loudest = channels.reduce((a, b) => (power(b) > power(a) ? b : a));
  if (power(total) < 0.1 * sum(channels.map(power))) return loudest;
  return total.map((value) => value / channels.length);
}

async function take(file, otherwise) {
  say("wait");
  try {
    hear(await samplesOf(file));
    say("");
  } catch (error) {
    say(error instanceof RangeError ? "tooLong" : otherwise);
  }
}

// ---------------------------------------------------------------- the microphone

async function microphone() {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: plain });
  } catch (error) {
    if (error.name === "NotAllowedError") say("denied");
    else if (error.name === "NotFoundError") say("noMicrophone");
    else say("broken", error.name);
    return null;
  }
}

const close = (stream) => stream.getTracks().forEach((track) => track.stop());

async function record() {
  at("record").disabled = true; // while the browser asks for permission
  const stream = await microphone();
  at("record").disabled = false;
  if (!stream) return;
  const parts = [];
  let lost = false;
  let recorder;
  try {
    recorder = new MediaRecorder(stream);
  } catch {
    close(stream);
    return say("noRecorder");
  }
  const end = () => recorder.state === "recording" && recorder.stop();
  stream.getTracks().forEach((track) => (track.onended = () => ((lost = true), end())));
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    lost ||= !stream.active;
    close(stream);
    stop = null;
    label();
    if (lost) say("lost");
    else take(new Blob(parts), "empty");
  };
  recorder.onstart = () => setTimeout(end, 1000 * SECONDS);
  recorder.start();
  stop = end;
  label();
  say("now");
}

// Listens until it is stopped: five times a second the last two seconds are searched for a word.
async function listen() {
  at("listen").disabled = true; // while the browser asks for permission
  const stream = await microphone();
  at("listen").disabled = false;
  if (!stream) return;
  try {
    live = { stream };
    live.context = new AudioContext({ sampleRate: RATE });
    live.analyser = new AnalyserNode(live.context, { fftSize: LIVE_SAMPLES });
    live.context.createMediaStreamSource(stream).connect(live.analyser);
  } catch {
    quiet();
    return say("noLive");
  }
  stream.getTracks().forEach((track) => (track.onended = () => (quiet(), say("lost"))));
  live.said = -1; // when the last word that was shown ended
  live.timer = setInterval(listenOnce, 200);
  label();
  say("listening");
}

function listenOnce() {
  const samples = new Float32Array(LIVE_SAMPLES);
  live.analyser.getFloatTimeDomainData(samples);
  const heard = recognise(samples, model);
  if (heard.word === null) return;
  const begun = live.context.currentTime - LIVE_SAMPLES / RATE; // when the samples begin
  const over = heard.end < LIVE_SAMPLES / RATE - 0.3; // the word has ended
  if (!over || begun + heard.start < live.said) return;
  live.said = begun + heard.end;
  shown = { samples, heard };
  show();
}

function quiet() {
  if (!live) return;
  clearInterval(live.timer);
  close(live.stream);
  live.context?.close();
  live = null;
  label();
}

// ---------------------------------------------------------------- the card, and the proof

function percent(share) {
  return (100 * share).toFixed(1);
}

function card() {
  const { by, network, parameters, clips, epochs, accuracy, interval, people } = model.card;
  const judged = () => {
    if (accuracy === null) return text.untested;
    const range = interval ? text.interval(...interval.map(percent)) : "";
    const kind = ["same", "person"][people] ?? "people";
    return text[kind](percent(accuracy), people) + range;
  };
  const rows = [
    [text.by, by || text.unknown],
    [text.network, text.parameters(text.networks[network], parameters.toLocaleString("en"))],
    [text.trained, text.clips(clips, epochs)],
    [text.judged, judged()],
  ];
  const cells = rows.flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: value }),
  ]);
  at("card").replaceChildren(...cells);
}

// The page holds one clip, and what Python answered to it.
function proof() {
  const { samples, probabilities, place } = model.reference;
  const heard = recognise(numbersOf(samples), model);
  const difference = Math.max(...probabilities.map((share, n) => Math.abs(share - heard.probabilities[n])));
  const right = difference < 1e-4 && String(heard.place) === String(place);
  at("proof").textContent = (right ? text.proof : text.failed)(difference.toExponential(1));
  at("proof").dataset.right = right;
}

// ---------------------------------------------------------------- the page itself

function label() {
  at("record").textContent = stop ? text.stop : text.record;
  at("listen").textContent = live ? text.listenStop : text.listen;
  at("record").classList.toggle("on", Boolean(stop));
  at("listen").classList.toggle("on", Boolean(live));
}

function write() {
  text = TEXTS[language];
  document.documentElement.lang = language;
  document.title = text.title;
  at("language").textContent = text.other;
  at("language").lang = language === "en" ? "zh" : "en";
  at("title").textContent = text.title;
  at("intro").textContent = `${text.intro} ${text.words(model.words.join(" "))}`;
  at("speak").textContent = text.speak;
  at("file-label").textContent = text.file;
  at("other-label").textContent = text.otherModel;
  at("always").textContent = text.always(model.words.length);
  at("card-title").textContent = text.card;
  at("wave").setAttribute("aria-label", text.wave);
  at("picture").setAttribute("aria-label", text.picture);
  at("other").hidden = !model.hosted;
  label();
  card();
  proof();
  say(...status);
  if (shown) show();
  else drawBars(model.words.map(() => 0));
}

async function useOther(file) {
  const before = model;
  try {
    const page = new DOMParser().parseFromString(await file.text(), "text/html");
    model = { ...readModel(page.getElementById("model").textContent), hosted: true };
    shown = null;
    status = ["yours"];
    at("answer").textContent = "";
    write();
  } catch {
    model = before;
    write();
    say("noModel");
  }
}

at("language").onclick = () => {
  language = language === "en" ? "zh" : "en";
  write();
};
at("record").onclick = () => (stop ? stop() : record());
at("listen").onclick = () => {
  if (!live) return listen();
  quiet();
  say("");
};
at("file").onchange = ({ target }) => {
  if (target.files[0]) take(target.files[0], "noSound");
  target.value = ""; // so that the same file can be chosen again
};
at("model-file").onchange = ({ target }) => {
  if (target.files[0]) useOther(target.files[0]);
  target.value = "";
};
if (!navigator.mediaDevices) {
  at("record").disabled = at("listen").disabled = true;
  status = ["insecure"];
} else if (!window.MediaRecorder) {
  at("record").disabled = true;
  status = ["noRecorder"];
}
write();
