// The form of recorder.py. Sentences are set with textContent, so no name is ever read as HTML.

const OFFER = "or choose a file, which does the same.";

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Decoding in a context of the wanted rate also resamples. Channels are averaged.
async function samplesOf(file, rate, maxSeconds) {
  const context = new OfflineAudioContext(1, 1, rate);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  // One sample over the limit is enough for Python to refuse the rest of a song.
  const samples = new Int16Array(Math.min(sound.length, maxSeconds * rate + 1));
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  for (let i = 0; i < samples.length; i++) {
    const mean = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
    samples[i] = Math.max(-32768, Math.min(32767, Math.round(mean * 32768)));
  }
  return samples;
}

function whyNoMicrophone(error) {
  if (error.name === "NotAllowedError")
    return `The microphone is not allowed: allow it beside the page's address, ${OFFER}`;
  if (error.name === "NotFoundError") return `There is no microphone: plug one in, ${OFFER}`;
  return `The microphone does not work (${error.name}): close other programs that use it, ${OFFER}`;
}

function render({ model, el }) {
  const speaker = element("input", { required: true, maxLength: 40, autocomplete: "off" });
  const digit = element("select", {}, ...Array.from("0123456789", (d) => new Option(d)));
  const button = element("button", { type: "button", textContent: "Record" });
  const file = element("input", { type: "file", accept: "audio/*" });
  const remove = element("button", { type: "button" });
  const status = element("p", {});
  status.setAttribute("role", "status");
  const say = (sentence) => (status.textContent = sentence);
  let stop = null; // ends the recording that is being made

  async function send(source, name) {
    try {
      const samples = await samplesOf(source, model.get("rate"), model.get("max_seconds"));
      const content = { do: "keep", speaker: speaker.value, digit: digit.value };
      model.send(content, undefined, [samples.buffer]);
    } catch {
      say(`${name} is no sound that this browser can decode: choose WAV, MP3 or M4A.`);
    }
  }

  async function record() {
    let stream;
    button.disabled = true; // while the browser asks for permission
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      return say(whyNoMicrophone(error));
    } finally {
      button.disabled = false;
    }
    const parts = [];
    const recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      stop = null;
      button.textContent = "Record";
      send(new Blob(parts), "The recording");
    };
    const end = () => recorder.state === "recording" && recorder.stop();
    stop = end;
    recorder.onstart = () => setTimeout(end, 1000 * model.get("seconds"));
    recorder.start();
    button.textContent = "Stop";
    say("Speak now.");
  }

  button.onclick = () => {
    if (stop) stop();
    else if (speaker.reportValidity()) record();
  };
  file.onchange = () => {
    if (file.files.length && speaker.reportValidity()) send(file.files[0], file.files[0].name);
    file.value = ""; // so that the same file can be chosen again
  };
  remove.onclick = () => model.send({ do: "delete" });
  if (!navigator.mediaDevices) {
    button.disabled = true;
    say(`This page may not use the microphone: open it by https or on this computer, ${OFFER}`);
  }
  const showLast = () => {
    remove.disabled = !model.get("last");
    remove.textContent = `Delete ${model.get("last") || "the last one"}`;
  };
  showLast();
  model.on("change:last", showLast);
  model.on("msg:custom", (message) => say(message.sentence));
  const consent = element("p", {
    textContent:
      `Your recordings stay where this notebook runs, in the folder ${model.get("place")}. ` +
      "You may delete them at any time. Record nobody who has not agreed.",
  });
  el.classList.add("say-a-digit");
  el.dataset.lmSuppressShortcuts = "true"; // or a 3 typed here would make the cell a heading
  el.append(
    consent,
    element("div", {}, element("label", {}, "Speaker ", speaker), element("label", {}, "Digit ", digit)),
    element("div", {}, button, element("label", {}, "or a file ", file), remove),
    status,
  );
}

export default { render };
