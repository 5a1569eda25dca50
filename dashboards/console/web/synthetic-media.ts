/** A picture and a tone made in the page, so that a call needs no camera: both move all the time, so that codecs have work. */

const WIDTH = 640;
const HEIGHT = 480;
const FRAMES_PER_SECOND = 30;

export interface SyntheticMedia {
  readonly stream: MediaStream;
  stop(): void;
}

/** `hue` in degrees and `pitch` in hertz tell two peers apart. */
export function createSyntheticMedia(name: string, hue: number, pitch: number): SyntheticMedia {
  const picture = createPicture(name, hue);
  const tone = createTone(pitch);
  return {
    stream: new MediaStream([...picture.stream.getTracks(), ...tone.stream.getTracks()]),
    stop() {
      picture.stop();
      tone.stop();
    },
  };
}

function createPicture(name: string, hue: number): SyntheticMedia {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('this browser draws no canvas');
  const draw = () => drawFrame(context, name, hue, performance.now() / 1000);
  draw();
  // an interval, since animation frames stop while the page is in the background
  const timer = setInterval(draw, 1000 / FRAMES_PER_SECOND);
  const stream = canvas.captureStream(FRAMES_PER_SECOND);
  return {
    stream,
    stop() {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
    },
  };
}

function drawFrame(context: CanvasRenderingContext2D, name: string, hue: number, seconds: number): void {
  const gradient = context.createLinearGradient(0, 0, WIDTH, HEIGHT);
  gradient.addColorStop(0, `hsl(${hue + 14 * Math.sin(seconds / 3)} 42% 24%)`);
  gradient.addColorStop(1, `hsl(${hue + 50} 38% 17%)`);
  context.fillStyle = gradient;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  for (let ring = 0; ring < 7; ring += 1) {
    const turn = seconds * (0.5 + ring * 0.07) + ring;
    context.fillStyle = `hsl(${hue + ring * 9} 60% ${46 + ring * 5}% / 0.5)`;
    context.beginPath();
    context.arc(
      WIDTH / 2 + Math.cos(turn) * (60 + ring * 30),
      220 + Math.sin(turn * 1.3) * (36 + ring * 15),
      26 - ring * 2,
      0,
      7,
    );
    context.fill();
  }
  context.fillStyle = '#fff';
  context.textAlign = 'center';
  context.font = '600 150px system-ui, sans-serif';
  context.fillText(name, WIDTH / 2, 275);
  context.font = '500 38px ui-monospace, monospace';
  context.fillText(clockOf(new Date()), WIDTH / 2, 350);
}

const clockOf = (now: Date) => now.toISOString().slice(11, 21);

/** A chord whose loudness and pitch waver: never silence, which Opus would stop sending. */
function createTone(pitch: number): SyntheticMedia {
  const audio = new AudioContext();
  const out = audio.createMediaStreamDestination();
  const loudness = audio.createGain();
  loudness.gain.value = 0.16;
  loudness.connect(out);
  const wobble = oscillator(audio, 3, 0.06);
  wobble.connect(loudness.gain);
  const vibrato = oscillator(audio, 0.7, pitch / 30);
  for (const part of [1, 1.5]) {
    const voice = audio.createOscillator();
    voice.frequency.value = pitch * part;
    vibrato.connect(voice.frequency);
    voice.connect(loudness);
    voice.start();
  }
  void audio.resume();
  return { stream: out.stream, stop: () => void audio.close() };
}

function oscillator(audio: AudioContext, frequency: number, depth: number): AudioNode {
  const source = audio.createOscillator();
  source.frequency.value = frequency;
  const gain = audio.createGain();
  gain.gain.value = depth;
  source.connect(gain);
  source.start();
  return gain;
}
