// The form of recorder.py. Sentences are set with textContent, so no name is ever read as HTML.

const TOO_OLD =
  "This browser cannot record: use a newer one, or choose a file, which does the same.";

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Decoding in a context of the wanted rate also resamples.
async function samplesOf(file, rate, maxSeconds) {
  const context = new OfflineAudioContext(1, 1, rate);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  // One sample over the limit is enough for Python to refuse the rest of a song.
  const length = Math.min(sound.length, maxSeconds * rate + 1);
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) =>
    sound.getChannelData(i).subarray(0, length),
  );
  return Int16Array.from(oneChannel(channels), (value) =>
    Math.max(-32768, Math.min(32767, Math.round(value * 32768))),
  );
}

// The mean of the channels; where they cancel (one microphone wired the other way round), so that
// it keeps less than a tenth of the energy it should, the loudest of them, as in audio.to_mono.
function oneChannel(channels) {
  const total = channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0));
  const power = (wave) => wave.reduce((sum, value) => sum + value * value, 0);
  const loudest = channels.reduce((a, b) => (power(b) > power(a) ? b : a));
  const energies = channels.reduce((sum, channel) => sum + power(channel), 0);
  return power(total) < 0.1 * energies ? loudest : total.map((value) => value / channels.length);
}

// `t` gives a sentence in the reader's language.
function whyNoMicrophone(error, t) {
  if (error.name === "NotAllowedError")
    return t("The microphone is not allowed: allow it beside the page's address (VS Code never does: use JupyterLab), or choose a file, which does the same.");
  if (error.name === "NotFoundError")
    return t("There is no microphone: plug one in, or choose a file, which does the same.");
  if (error.name === "NotSupportedError") return t(TOO_OLD);
  return t("The microphone does not work ({0}): close other programs that use it, or choose a file, which does the same.", error.name);
}

function render({ model, el }) {
  const texts = model.get("texts"); // what Python's catalogue says instead
  const t = (sentence, value) => (texts[sentence] ?? sentence).replace("{0}", value);
  const speaker = element("input", { required: true, maxLength: 40, autocomplete: "off" });
  const word = element("select", {}, ...model.get("words").map((each) => new Option(each)));
  const button = element("button", { type: "button", textContent: t("Record") });
  const file = element("input", { type: "file", accept: "audio/*" });
  const remove = element("button", { type: "button" });
  const status = element("p", {});
  status.setAttribute("role", "status");
  const say = (sentence) => (status.textContent = sentence);
  let stop = null; // ends the recording that is being made

  // What the form says counts when the button is pressed, not when the recording has come.
  const said = () => ({ do: "keep", speaker: speaker.value, word: word.value });

  async function send(content, source, otherwise) {
    say(t("Python answers when it is free."));
    try {
      const samples = await samplesOf(source, model.get("rate"), model.get("max_seconds"));
      model.send(content, undefined, [samples.buffer]);
    } catch {
      say(otherwise);
    }
  }

  async function record() {
    const content = said();
    let stream;
    button.disabled = true; // while the browser asks for permission
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      recordFrom(stream, content);
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
      say(whyNoMicrophone(error, t));
    } finally {
      button.disabled = false;
    }
  }

  function recordFrom(stream, content) {
    const parts = [];
    const recorder = new MediaRecorder(stream);
    let lost = false; // the microphone was unplugged, forbidden or taken by another program
    const end = () => recorder.state === "recording" && recorder.stop();
    const lose = () => {
      lost = true;
      end(); // some browsers would wait for more sound
    };
    recorder.onerror = lose;
    stream.getTracks().forEach((track) => (track.onended = lose));
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      lost ||= !stream.active; // the recorder may hear of it first
      stream.getTracks().forEach((track) => track.stop());
      stop = null;
      button.textContent = t("Record");
      if (lost) say(t("The microphone was taken away while it recorded: record again, or choose a file, which does the same."));
      else send(content, new Blob(parts), t("The recording holds no sound: record again, or choose a file, which does the same."));
    };
    recorder.onstart = () => setTimeout(end, 1000 * model.get("seconds"));
    recorder.start();
    stop = end;
    button.textContent = t("Stop");
    say(t("Speak now."));
  }

  button.onclick = () => {
    if (stop) stop();
    else if (speaker.reportValidity()) record();
  };
  file.onchange = () => {
    const [chosen] = file.files;
    if (chosen && speaker.reportValidity())
      send(said(), chosen, t("{0} is no sound that this browser can decode: choose WAV, MP3 or M4A.", chosen.name));
    file.value = ""; // so that the same file can be chosen again
  };
  remove.onclick = () => model.send({ do: "delete" });
  if (!navigator.mediaDevices) {
    button.disabled = true;
    say(t("This page may not use the microphone: open it by https or on this computer, or choose a file, which does the same."));
  } else if (!window.MediaRecorder) {
    button.disabled = true;
    say(t(TOO_OLD));
  }
  const showLast = () => {
    remove.disabled = !model.get("last");
    remove.textContent = t("Delete {0}", model.get("last") || t("the last one"));
  };
  showLast();
  model.on("change:last", showLast);
  model.on("msg:custom", (message) => say(message.sentence));
  const consent = element("p", {
    textContent: t("Your recordings stay where this notebook runs, in the folder {0}. You may delete them at any time. Record nobody who has not agreed.", model.get("place")),
  });
  el.classList.add("say-a-word");
  el.dataset.lmSuppressShortcuts = "true"; // or a 3 typed here would make the cell a heading
  el.append(
    consent,
    element("div", {}, element("label", {}, t("Speaker"), " ", speaker), element("label", {}, t("Word"), " ", word)),
    element("div", {}, button, element("label", {}, t("or a file"), " ", file), remove),
    status,
  );
}

export default { render };
