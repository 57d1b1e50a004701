// Rules in sentences: what follows from one, how it stands, when it last fired. Pure: the language, the farm and the clock are
// arguments.
import { lookup, message } from './fluent';
import type { Lang } from './format';
import type { Reason, Rule } from './types';
import { argument, moment, type Farm } from './words';

/** The most days that the gateway looks back on over HTTP. */
export const REHEARSAL_DAYS_MAX = 31;

/** What of a rule weighs most at the moment. */
export type RuleState = 'off' | 'active' | 'pending' | 'holds' | 'unknown' | 'quiet';

/** Something to know about a rule, in words. */
export interface RuleFact {
  state: RuleState;
  text: string;
}

/** Whether its condition holds, and whether it has fired or is about to; what weighs most first. */
export function ruleFacts(lang: Lang, farm: Farm, rule: Rule, nowMs: number): RuleFact[] {
  const fact = (state: RuleState, args: Record<string, string> = {}): RuleFact => ({
    state,
    text: message(lang, `rule-${state}`, args),
  });
  if (!rule.enabled) return [fact('off')];
  const found: RuleFact[] = [];
  if (rule.active) found.push(fact('active'));
  if (rule.holds === null) found.push(fact('unknown', { input: rule.missing ?? '?' }));
  else found.push(fact(rule.holds ? 'holds' : 'quiet'));
  if (rule.fires_at !== null && !rule.active) {
    found.unshift(fact('pending', { time: moment(lang, rule.fires_at, nowMs, farm.offsetMin) }));
  }
  return found;
}

/** When it last fired, and how often within a day. */
export function lastFiring(lang: Lang, farm: Farm, rule: Rule, nowMs: number): string {
  if (rule.fired_at === null) return message(lang, 'rule-never-fired');
  const fired = message(lang, 'rule-fired', { time: moment(lang, rule.fired_at, nowMs, farm.offsetMin) });
  return rule.fired_today > 1 ? `${fired} ${message(lang, 'rule-fired-often', { n: rule.fired_today })}` : fired;
}

/** What follows from a rule as a sentence; an unknown code shows itself with its numbers rather than nothing. */
export function effect(lang: Lang, farm: Farm, { code, args }: Reason): string {
  const texts = Object.entries(args ?? {}).map(([name, value]) => [name, argument(lang, farm, name, value)] as const);
  const known = lookup(lang, `rule-then-${code.replaceAll('_', '-')}`, Object.fromEntries(texts));
  return known ?? [code.replaceAll('_', ' '), ...texts.map(([name, text]) => `${name} ${text}`)].join(', ');
}

/** The question of a rehearsal; an empty name asks for every rule that is switched on. */
export function rehearsalQuery(days: number, rule: string): string {
  return new URLSearchParams({ last: `${days}d`, ...(rule === '' ? {} : { rule }) }).toString();
}
