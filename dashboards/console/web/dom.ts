/** The little that the pages need of the DOM. Text only ever enters as text. */

/** The element with this id, which the page's HTML holds. */
export function element(id: string): HTMLElement {
  return elementOf(id, HTMLElement);
}

export function elementOf<E extends Element>(id: string, type: new () => E): E {
  const found = document.getElementById(id) as Element | null;
  if (found instanceof type) return found;
  throw new Error(`the page has no ${type.name} #${id}`);
}

/** Writes only what changed, so that nothing is announced or laid out again for nothing. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function show(id: string, text: string): void {
  setText(element(id), text);
}

export function toggle(id: string, visible: boolean): void {
  element(id).hidden = !visible;
}

type Child = Node | string;

/** `make('td', { class: 'text' }, 'Ada')` */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function makeSvg(tag: string, attributes: Readonly<Record<string, string | number>>, text = ''): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== '') made.textContent = text;
  return made;
}
