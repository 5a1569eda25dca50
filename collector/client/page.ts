/**
 * Finds every connection that a page makes, by whichever library. The constructor is replaced by one that makes the same
 * objects; a library that took hold of the constructor earlier, and connections that are there already, are found when
 * they are first given a description, since all of them share one prototype.
 */

type Constructor = typeof RTCPeerConnection;
/** `window`, as far as it is changed. */
export interface ConnectionScope {
  RTCPeerConnection: Constructor;
}

const DESCRIBING = ['setLocalDescription', 'setRemoteDescription'] as const;

/** Tells each connection once, after its constructors have run. The answer puts everything back. */
export function watchConstruction(scope: ConnectionScope, told: (pc: RTCPeerConnection) => void): () => void {
  const known = new WeakSet<RTCPeerConnection>();
  let watching = true;
  const meet = (pc: RTCPeerConnection) => {
    if (!watching || known.has(pc)) return;
    known.add(pc);
    told(pc);
  };
  const original = scope.RTCPeerConnection;
  const proxy: Constructor = new Proxy(original, {
    construct(target, given, newTarget) {
      const pc = Reflect.construct(target, given, newTarget === proxy ? target : newTarget) as RTCPeerConnection;
      queueMicrotask(() => meet(pc)); // a subclass is still at work
      return pc;
    },
  });
  scope.RTCPeerConnection = proxy;
  const undo = DESCRIBING.map((name) => replaceMethod(original.prototype, name, meet));
  return () => {
    watching = false;
    if (scope.RTCPeerConnection === proxy) scope.RTCPeerConnection = original;
    for (const one of undo) one();
  };
}

/** Somebody who replaced the method after us keeps theirs, and ours below it does nothing more. */
function replaceMethod(
  prototype: RTCPeerConnection,
  name: (typeof DESCRIBING)[number],
  meet: (pc: RTCPeerConnection) => void,
): () => void {
  const original = prototype[name] as (this: RTCPeerConnection, ...given: unknown[]) => Promise<void>;
  const ours = function (this: RTCPeerConnection, ...given: unknown[]): Promise<void> {
    meet(this);
    return original.apply(this, given);
  };
  Object.assign(prototype, { [name]: ours });
  return () => {
    if ((prototype[name] as unknown) === ours) Object.assign(prototype, { [name]: original });
  };
}
