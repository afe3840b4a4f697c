// From sound to word in the browser: what pictures.py and models.py do, line by line.
//
// Every number comes from Python with the model: `settings` holds the constants of pictures.py,
// the window and the mel filters; `model` holds the words and the layers of each network.
// Sound is an array of samples at 16 kHz; `frames` is a list of levels in dB, one array a frame.

const sum = (values) => values.reduce((total, value) => total + value, 0);
const decibels = (power) => 10 * Math.log10(power);

// ---------------------------------------------------------------- log-mel frames (chapter 7)

function logMelFrames(samples, settings) {
  const { window, step, lowest_power: floor } = settings;
  const steps = Math.max(1, Math.ceil(samples.length / step));
  const before = Math.floor((window.length - step) / 2);
  const frames = [];
  for (let t = 0; t < steps; t++) {
    const start = t * step - before;
    const block = Array.from(window, (weight, n) => weight * (samples[start + n] ?? 0));
    const power = melPower(powerSpectrum(block, settings.n_fft), settings);
    frames.push(power.map((value) => decibels(Math.max(value, floor))));
  }
  return frames;
}

// Each mel band adds up the power of the few bins under its triangle.
function melPower(spectrum, { filters, n_mels }) {
  const power = new Float64Array(n_mels);
  for (let band = 0; band < n_mels; band++) {
    const { first, weights } = filters[band];
    weights.forEach((weight, n) => (power[band] += weight * spectrum[first + n]));
  }
  return power;
}

function powerSpectrum(block, nFft) {
  const real = new Float64Array(nFft);
  const imaginary = new Float64Array(nFft);
  real.set(block);
  fourier(real, imaginary);
  const bins = nFft / 2 + 1;
  return Float64Array.from({ length: bins }, (_, k) => real[k] ** 2 + imaginary[k] ** 2);
}

// The fast Fourier transform, in place: order the samples, then join pairs, fours, eights, ...
function fourier(real, imaginary) {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let length = 2; length <= size; length *= 2) {
    for (let k = 0; k < length / 2; k++) {
      const angle = (-2 * Math.PI * k) / length;
      const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      for (let start = k; start < size; start += length) {
        const other = start + length / 2;
        const re = real[other] * cosine - imaginary[other] * sine;
        const im = real[other] * sine + imaginary[other] * cosine;
        [real[other], imaginary[other]] = [real[start] - re, imaginary[start] - im];
        real[start] += re;
        imaginary[start] += im;
      }
    }
  }
}

// ---------------------------------------------------------------- the word finder (chapter 8)

// Returns the first frame of the word and the one after its last, or null if nobody speaks.
function findWord(frames, settings) {
  const heard = frames.map((levels) => Math.max(...levels) > settings.silence_db + 10);
  const count = heard.filter(Boolean).length;
  if (count < settings.least_frames) return null;
  const power = frames.map((levels) => speechPower(levels, settings));
  const loudness = smooth(power.map(sum));
  const loudest = loudness.indexOf(Math.max(...loudness));
  const vowel = vowelWeights(power, loudest);
  const level = smooth(power.map((bands) => sum(bands.map((p, b) => p * vowel[b])))).map(decibels);
  const peak = Math.max(...level);
  const ordered = level.filter((_, t) => heard[t]).sort((a, b) => a - b);
  const quiet = ordered[Math.floor(count / 10)];
  const clear = peak - quiet >= settings.contrast_db;
  const spectra = averaged(frames.map((levels) => levels.slice(settings.first_voice_band)));
  const loud = spectra.filter((_, t) => loudness[t] >= loudness[loudest] / 30);
  if (!loud.some((levels) => standsOut(levels) >= settings.vowel_db)) return null;
  const short = count <= settings.trimmed_frames;
  const sounds = spectra.filter((_, t) => heard[t]);
  if (!clear && !(short && spectrumChanges(sounds, settings))) return null;
  const lowest = peak - settings.depth_db;
  // In a short clip the quiet part may be the word's own: a weak s, and no noise to stay above.
  const threshold = short ? lowest : Math.max(lowest, quiet + settings.noise_db);
  const speaking = level.map((value, t) => value >= threshold && heard[t]);
  return loudestStretch(speaking, level, settings.pause_frames);
}

// The power in the bands of speech, without what leaks into them from hum and thumps.
function speechPower(levels, settings) {
  const power = Array.from(levels, (level) => 10 ** (level / 10));
  const low = sum(power.slice(0, settings.first_hum_band));
  const high = power.slice(settings.first_voice_band);
  const leak = (low * settings.leak) / high.length;
  return high.map((value) => Math.max(value - leak, settings.lowest_power));
}

// How much of the loudest moment's power each band has: a vowel is loudest in its own bands.
function vowelWeights(power, loudest) {
  const near = power.slice(Math.max(0, loudest - 2), loudest + 3);
  const total = near[0].map((_, band) => sum(near.map((bands) => bands[band])));
  const whole = sum(total);
  return total.map((value) => value / whole);
}

// The median of nine frames, mirrored at both ends, leaves out clicks.
function smooth(values) {
  const last = values.length - 1;
  const mirrored = (t) => values[last - Math.abs(last - Math.abs(t))];
  return values.map((_, t) => {
    const nine = Array.from({ length: 9 }, (_, n) => mirrored(t - 4 + n));
    return nine.sort((a, b) => a - b)[4];
  });
}

// The mean of five frames flattens noise and leaves vowels as they are.
function averaged(frames) {
  const at = (t) => frames[Math.min(Math.max(t, 0), frames.length - 1)];
  return frames.map((levels, t) =>
    levels.map((_, band) => (at(t - 2)[band] + at(t - 1)[band] + at(t)[band] + at(t + 1)[band] + at(t + 2)[band]) / 5),
  );
}

// How far the loudest band stands out of the middle one.
function standsOut(levels) {
  const ordered = [...levels].sort((a, b) => a - b);
  return ordered.at(-1) - ordered[Math.floor(ordered.length / 2)];
}

// Whether the spectrum changes as from sound to sound of a word.
function spectrumChanges(spectra, settings) {
  const inner = spectra.slice(2, -2);
  const spread = inner[0].map((_, band) => deviation(inner.map((levels) => levels[band])));
  return sum(spread) / spread.length >= settings.change_db;
}

function deviation(values) {
  const mean = sum(values) / values.length;
  return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length);
}

// Of the stretches between pauses, the one with the most energy.
function loudestStretch(speaking, level, longestPause) {
  const stretches = [];
  speaking.forEach((speaks, t) => {
    if (!speaks) return;
    const current = stretches.at(-1);
    if (!current || t - current.last > longestPause) stretches.push({ first: t, last: t, energy: 0 });
    stretches.at(-1).last = t;
    stretches.at(-1).energy += 10 ** (level[t] / 10);
  });
  if (!stretches.length) return null;
  const loudest = stretches.reduce((a, b) => (b.energy > a.energy ? b : a));
  return [loudest.first, loudest.last + 1];
}

// ---------------------------------------------------------------- the picture (chapter 8)

// Returns n_mels rows of n_frames values in [-2, 2], in one array: [1, n_mels, n_frames].
function pictureOf(frames, word, settings) {
  const { n_mels: height, n_frames: width, limit_db: limit } = settings;
  const [start, end] = word ?? [0, frames.length];
  const seconds = (end - start) * settings.step_seconds;
  const shown = Math.sqrt(Math.min(Math.max(seconds, settings.shortest), settings.longest));
  const silence = new Float64Array(height).fill(settings.silence_db);
  const at = (t) => frames[t] ?? silence;
  let loudest = -Infinity;
  for (const levels of frames.slice(start, end))
    loudest = Math.max(loudest, ...levels.slice(settings.first_voice_band));
  const values = new Float32Array(height * width);
  for (let column = 0; column < width; column++) {
    const middle = (start + end - 1) / 2;
    const position = middle + (column - (width - 1) / 2) * (shown / settings.step_seconds / width);
    const inside = Math.min(Math.max(position, -1), frames.length - 0.001);
    const left = Math.floor(inside);
    const part = inside - left;
    for (let band = 0; band < height; band++) {
      const level = at(left)[band] * (1 - part) + at(left + 1)[band] * part;
      const below = Math.min(Math.max(level - loudest, -limit), 0);
      values[band * width + column] = below * (4 / limit) + 2;
    }
  }
  return { values, shape: [1, height, width] };
}

// ---------------------------------------------------------------- the network (chapters 5, 6)

// A map is { values, shape }, its values in one array.
const LAYERS = {
  conv(map, { weights, bias, size, stride, padding, channels }) {
    const [depth, height, width] = map.shape;
    const rows = Math.floor((height + 2 * padding - size) / stride) + 1;
    const columns = Math.floor((width + 2 * padding - size) / stride) + 1;
    const values = new Float32Array(channels * rows * columns);
    let place = 0;
    for (let out = 0; out < channels; out++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          let total = bias[out];
          for (let channel = 0; channel < depth; channel++)
            for (let i = 0; i < size; i++) {
              const y = row * stride + i - padding;
              if (y < 0 || y >= height) continue; // padding: zeros add nothing
              for (let j = 0; j < size; j++) {
                const x = column * stride + j - padding;
                if (x < 0 || x >= width) continue;
                const weight = weights[((out * depth + channel) * size + i) * size + j];
                total += weight * map.values[(channel * height + y) * width + x];
              }
            }
          values[place++] = total;
        }
    return { values, shape: [channels, rows, columns] };
  },

  relu(map) {
    return { values: map.values.map((value) => Math.max(value, 0)), shape: map.shape };
  },

  pool(map, { size }) {
    const [depth, height, width] = map.shape;
    const shape = [depth, Math.floor(height / size), Math.floor(width / size)];
    const values = new Float32Array(shape[0] * shape[1] * shape[2]).fill(-Infinity);
    for (let channel = 0; channel < depth; channel++)
      for (let y = 0; y < shape[1] * size; y++)
        for (let x = 0; x < shape[2] * size; x++) {
          const row = channel * shape[1] + Math.floor(y / size);
          const place = row * shape[2] + Math.floor(x / size);
          const value = map.values[(channel * height + y) * width + x];
          values[place] = Math.max(values[place], value);
        }
    return { values, shape };
  },

  // Each channel becomes its mean; behind all means follow all maxima.
  mean_and_max(map) {
    const [depth, height, width] = map.shape;
    const values = new Float32Array(2 * depth);
    for (let channel = 0; channel < depth; channel++) {
      const cells = map.values.slice(channel * height * width, (channel + 1) * height * width);
      values[channel] = sum(cells) / cells.length;
      values[depth + channel] = Math.max(...cells);
    }
    return { values, shape: [2 * depth] };
  },

  // Each channel becomes its mean in each cell of a grid; cells share lines that do not divide.
  mean_of_cells(map, { grid: [rows, columns] }) {
    const [depth, height, width] = map.shape;
    const values = [];
    for (let channel = 0; channel < depth; channel++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          const cells = [];
          const bottom = Math.ceil(((row + 1) * height) / rows);
          const right = Math.ceil(((column + 1) * width) / columns);
          for (let y = Math.floor((row * height) / rows); y < bottom; y++)
            for (let x = Math.floor((column * width) / columns); x < right; x++)
              cells.push(map.values[(channel * height + y) * width + x]);
          values.push(sum(cells) / cells.length);
        }
    return { values: Float32Array.from(values), shape: [values.length] };
  },

  linear(map, { weights, bias }) {
    const values = Float32Array.from(bias, (start, row) => {
      let total = start;
      const first = row * map.values.length;
      map.values.forEach((value, n) => (total += weights[first + n] * value));
      return total;
    });
    return { values, shape: [values.length] };
  },
};

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

// Several networks answer together: the mean of their probabilities.
function predict(picture, networks) {
  const answers = networks.map((layers) => {
    const logits = layers.reduce((map, layer) => LAYERS[layer.kind](map, layer), picture);
    return softmax(logits.values);
  });
  return answers[0].map((_, word) => sum(answers.map((answer) => answer[word])) / answers.length);
}

// ---------------------------------------------------------------- all together

// Returns the word (null if nobody spoke), the probability of each, where it was heard (in
// seconds), and the picture that the network saw.
function recognise(samples, model) {
  const frames = logMelFrames(samples, model.settings);
  const place = findWord(frames, model.settings);
  const picture = pictureOf(frames, place, model.settings);
  const probabilities = predict(picture, model.networks);
  const best = probabilities.indexOf(Math.max(...probabilities));
  const [start, end] = (place ?? [0, 0]).map((frame) => frame * model.settings.step_seconds);
  return { word: place ? model.words[best] : null, place, probabilities, start, end, picture };
}

// Numbers come from Python as the bytes of float32, in base64.
function numbersOf(text) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function readModel(text) {
  const model = JSON.parse(text);
  model.settings.window = numbersOf(model.settings.window);
  for (const filter of model.settings.filters) filter.weights = numbersOf(filter.weights);
  for (const layer of model.networks.flat())
    for (const name of ["weights", "bias"]) if (layer[name]) layer[name] = numbersOf(layer[name]);
  return model;
}
