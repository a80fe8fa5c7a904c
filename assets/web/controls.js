// Controls: a list of fields becomes a form, the form a question.

import { h } from './dom.js';

/** A field: `{name, label, kind, options, list, min, max, step, log, unit, value, about}`; kind is text, number, slider, choice,
 * yes, config. `instead` are the fields that stand for the same and are given up when this one is given, `brings` what it
 * does not go without, `ends` what goes with it when it is cleared. */
function control(field, value, changed) {
  const id = `f-${field.name}`;
  const common = { id, name: field.name, title: field.about, 'data-key': id };
  const set = (v, settled) => changed(field.name, v, settled);
  switch (field.kind) {
    case 'choice':
      return [h('select', { ...common, onchange: (e) => set(e.target.value, true) },
        field.options.map(([v, text]) => h('option', { value: v, selected: (value ?? '') === v }, text)))];
    case 'yes':
      return [h('input', { ...common, type: 'checkbox', checked: value === 'true', onchange: (e) => set(e.target.checked ? 'true' : '', true) })];
    case 'slider': {
      const to = (x) => (field.log ? Math.round(2 ** x) : x);
      const from = (v) => (field.log ? Math.log2(v) : v);
      const given = value === undefined || value === '' ? field.value : Number(value);
      // Words that the slider has no place for, `2k` or a list, are shown as they are.
      const at = Number.isFinite(given) ? given : field.value;
      const shown = h('output', { for: id }, Number.isFinite(given) ? `${at.toLocaleString('en-US')}${field.unit ?? ''}` : value);
      const move = (e, settled) => {
        const v = to(Number(e.target.value));
        shown.textContent = `${v.toLocaleString('en-US')}${field.unit ?? ''}`;
        e.target.setAttribute('aria-valuetext', shown.textContent);
        set(v === field.value ? '' : String(v), settled);
      };
      return [h('input', {
        ...common, type: 'range', min: from(field.min), max: from(field.max), step: field.log ? 0.25 : field.step ?? 1, value: from(at),
        oninput: (e) => move(e, false), onchange: (e) => move(e, true),
      }), shown];
    }
    case 'config': {
      const said = h('output', { for: id });
      const read = (text, settled = true) => {
        const trimmed = text.trim();
        if (!trimmed) {
          said.textContent = '';
          return set('', settled);
        }
        try {
          const value = JSON.parse(trimmed);
          if (typeof value !== 'object' || Array.isArray(value) || value === null) throw new Error('no object');
          said.textContent = `read: ${value.model_type ?? value.architectures?.[0] ?? 'a configuration'}`;
          set(JSON.stringify(value), settled);
        } catch (e) {
          said.textContent = trimmed.startsWith('GGUF') ? 'not read: a GGUF file; `shardfit plan ./model.gguf` reads its header, here its config.json serves' : `not read: ${e.message}`;
        }
      };
      const take = async (file) => {
        if (!file) return;
        if ((await file.slice(0, 4).text()) === 'GGUF') {
          read('GGUF');
        } else if (file.size > 1e6) {
          said.textContent = 'not read: larger than 1 MB; a config.json has some kilobytes';
        } else {
          area.value = await file.text();
          read(area.value);
        }
      };
      const area = h('textarea', {
        ...common, placeholder: 'paste a config.json, or drop the file here', value: value ?? '', spellcheck: 'false',
        onchange: (e) => read(e.target.value),
        ondragover: (e) => { e.preventDefault(); e.target.classList.add('over'); },
        ondragleave: (e) => e.target.classList.remove('over'),
        ondrop: async (e) => {
          e.preventDefault();
          e.target.classList.remove('over');
          await take(e.dataTransfer.files[0]);
        },
      });
      const pick = h('input', { type: 'file', accept: '.json,application/json', 'aria-label': 'A config.json from this machine', onchange: async (e) => {
        await take(e.target.files[0]);
      } });
      return [area, pick, said];
    }
    default:
      return [h('input', {
        ...common, type: 'text', inputmode: field.kind === 'number' ? 'decimal' : null, list: field.list, placeholder: field.placeholder ?? '',
        value: value ?? '', autocomplete: 'off', spellcheck: 'false',
        oninput: (e) => set(e.target.value.trim(), false), onchange: (e) => set(e.target.value.trim(), true),
      })];
  }
}

export function form(groups, values, changed) {
  return groups.map((group) => {
    const rows = group.fields.map((field) =>
      h('div', { class: field.kind === 'config' ? 'field wide' : 'field' }, h('label', { for: `f-${field.name}` }, field.label), ...control(field, values[field.name], changed)));
    const used = group.fields.some((f) => values[f.name] !== undefined && values[f.name] !== '');
    if (!group.folded) return h('fieldset', {}, h('legend', {}, group.title), group.before, rows);
    return h('fieldset', {}, h('legend', {}, group.title), h('details', { open: used, 'data-key': group.title }, h('summary', {}, group.about ?? 'more'), rows));
  });
}

/** The fields once one of them has changed: what stands for the same is given up, what it does not go without comes along. */
export function follow(groups, values, name) {
  const field = groups.flatMap((g) => g.fields).find((f) => f.name === name);
  const out = { ...values };
  const given = out[name] !== undefined && out[name] !== '';
  for (const other of (given ? field?.instead : field?.ends) ?? []) delete out[other];
  if (given) for (const [other, value] of Object.entries(field?.brings ?? {})) out[other] ??= value;
  return out;
}

/** Shows the values of controls that another one changed. */
export function follows(groups, before, after) {
  for (const { name, kind } of groups.flatMap((g) => g.fields)) {
    const control = document.getElementById(`f-${name}`);
    if (!control || before[name] === after[name] || kind === 'slider' || kind === 'yes') continue;
    control.value = after[name] ?? '';
    const said = kind === 'config' && control.parentElement.querySelector('output');
    if (said) said.textContent = '';
  }
}

/** The question that the values of a form ask: numbers as numbers, lists cut at commas, the configuration as an object. */
export function question(groups, values) {
  const out = {};
  for (const field of groups.flatMap((g) => g.fields)) {
    const value = values[field.name];
    if (value === undefined || value === '' || field.local) continue;
    if (field.kind === 'yes') out[field.name] = true;
    else if (field.kind === 'config') out[field.name] = JSON.parse(value);
    else if (field.kind === 'share' && /^[0-9.]+ ?%$/.test(value)) out[field.name] = parseFloat(value) / 100;
    else if ((field.kind === 'number' || field.kind === 'share' || field.kind === 'slider') && /^-?[0-9.]+(e[+-]?[0-9]+)?$/i.test(value)) out[field.name] = Number(value);
    else if (field.kind === 'list') out[field.name] = value.split(',').map((v) => v.trim()).filter(Boolean);
    else out[field.name] = value;
  }
  if (out.config) delete out.model;
  return out;
}
