// Microphones and loudspeakers by name. A browser tells the names once the microphone is allowed.

/** Whether a page may choose the loudspeaker. */
export const choosesOutput = () => "setSinkId" in (globalThis.AudioContext?.prototype ?? {});

/** {inputs, outputs}: [{id, label}]; outputs is null where the browser gives no choice. */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = (kind) =>
    all
      .filter((device) => device.kind === kind && device.deviceId !== "")
      .map(({ deviceId, label }) => ({ id: deviceId, label }));
  return { inputs: named("audioinput"), outputs: choosesOutput() ? named("audiooutput") : null };
}
