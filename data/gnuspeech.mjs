// Speak one word with GnuSpeech, a model of the tube between the throat and the lips.
//
//     node gnuspeech.mjs PACKAGE WORD OUT.wav TRACT_CM PITCH BREATHINESS TEMPO
//
// PACKAGE is the folder of the npm package @echogarden/gnuspeech-wasm. TRACT_CM is the length of
// the tube (17.5 is a man's, 10 a small child's), PITCH is in semitones (-12 is a man's, 5 a small
// child's), BREATHINESS in per cent. What GnuSpeech would draw at random is switched off.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, word, out, tract, pitch, breathiness, tempo] = process.argv.slice(2);
const program = path.resolve(folder, 'wasm/gnuspeech.js');
const { default: start } = await import(pathToFileURL(program));
const gnuspeech = await start();

function setOptions(file, options) {
    let text = new TextDecoder().decode(gnuspeech.FS.readFile(file));
    for (const [name, value] of Object.entries(options)) {
        text = text.replace(new RegExp(`^${name} = .*$`, 'm'), `${name} = ${value}`);
    }
    gnuspeech.FS.writeFile(file, text);
}

function pointer(text) {
    const bytes = new TextEncoder().encode(`${text}\0`);
    const address = gnuspeech._malloc(bytes.length);
    gnuspeech.HEAPU8.set(bytes, address);
    return address;
}

setOptions('/data/en/voice_male.txt', {
    vocal_tract_length: tract,
    reference_glottal_pitch: pitch,
    breathiness,
});
setOptions('/data/en/trm_control_model.txt', {
    voice_name: 'male', tempo, intonation_drift: 0, random_intonation: 0,
});
gnuspeech._GnuSpeech_synthesizeToFile(
    pointer(word), pointer('/out.wav'), pointer('/data/en'), pointer('/parameters.txt'), 0,
);
await writeFile(out, gnuspeech.FS.readFile('/out.wav'));
