// Which screen is shown, kept in the address after `#`, so that Back, reload and shared links work without a server route.

export type Route =
  | { screen: 'zones' }
  | { screen: 'zone'; id: string }
  | { screen: 'programs' }
  | { screen: 'run' }
  | { screen: 'rules' }
  | { screen: 'history' }
  | { screen: 'diary' }
  | { screen: 'nodes' }
  | { screen: 'farm' };

/** Screens that need no more than their name. */
const PLAIN: Route[] = [
  { screen: 'programs' },
  { screen: 'run' },
  { screen: 'rules' },
  { screen: 'history' },
  { screen: 'diary' },
  { screen: 'nodes' },
  { screen: 'farm' },
];

export function parseRoute(hash: string): Route {
  const [screen = '', id = ''] = hash.replace(/^#\/?/, '').split('/');
  if (screen === 'zone' && id !== '') {
    try {
      return { screen: 'zone', id: decodeURIComponent(id) };
    } catch {
      return { screen: 'zones' };
    }
  }
  return PLAIN.find((plain) => plain.screen === screen) ?? { screen: 'zones' };
}

class Router {
  current = $state<Route>(parseRoute(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.current = parseRoute(location.hash);
      scrollTo(0, 0);
    });
  }
}

export const router = new Router();

export const zoneHref = (id: string): string => `#/zone/${encodeURIComponent(id)}`;
