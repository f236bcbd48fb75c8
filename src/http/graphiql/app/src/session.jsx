import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useCallback, useEffect, useState } from 'react';
import { ask } from './fetcher.js';

const SIGN_IN = `mutation SignIn($input: SessionCreateInput!) {
  sessionCreate(input: $input) {
    session { accessToken accessTokenExpiresAt }
    userErrors { code message }
  }
}`;

const STORED = 'portal-gateway.session';

/** Who was signed in before the page was loaded anew, without the token: the gateway may be another one by now. */
function stored() {
  try {
    const { email, isOut } = JSON.parse(sessionStorage.getItem(STORED) ?? '{}');
    return { email, isOut };
  } catch {
    return {};
  }
}

async function signIn(email, { password, deviceToken }) {
  const answer = await ask({ query: SIGN_IN, variables: { input: { email, password, deviceToken } } });
  const payload = answer.data?.sessionCreate;
  if (!payload?.session?.accessToken) {
    const reason = payload?.userErrors?.[0] ?? answer.errors?.[0];
    throw new Error(reason?.message ?? 'no answer');
  }
  const { accessToken: token, accessTokenExpiresAt } = payload.session;
  return { email, token, expiresAt: Date.parse(accessTokenExpiresAt) || Date.now() + 600_000 };
}

/** Puts the token among the headers as written, or takes it out. Null when they are no JSON. */
function withToken(text, token) {
  let headers;
  try {
    headers = text?.trim() ? JSON.parse(text) : {};
  } catch {
    return null;
  }
  for (const name of Object.keys(headers)) if (name.toLowerCase() === 'authorization') delete headers[name];
  if (token) headers = { Authorization: `Bearer ${token}`, ...headers };
  return Object.keys(headers).length ? JSON.stringify(headers, null, 2) : '';
}

/** Who is signed in, at the end of the tab bar, and the demo customers to sign in as. */
export function Session({ demo }) {
  const [session, setSession] = useState(stored);
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [chosen, setChosen] = useState(session.email ?? demo.customers[0]?.email);
  const headerEditor = useGraphiQL((state) => state.headerEditor);
  const activeTab = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.id);
  const { updateActiveTabValues } = useGraphiQLActions();

  const keep = useCallback((next) => {
    const { email, isOut } = next;
    sessionStorage.setItem(STORED, JSON.stringify({ email, isOut }));
    setSession(next);
  }, []);

  const enter = useCallback(
    async (email) => {
      setBusy(true);
      try {
        keep(await signIn(email, demo));
        setError(null);
      } catch (reason) {
        setError(reason);
      } finally {
        setBusy(false);
      }
    },
    [demo, keep],
  );

  // A newcomer finds the first demo customer signed in. A token is renewed when most of its time is over;
  // while the gateway is away, it is asked again and again.
  useEffect(() => {
    if (session.isOut) return undefined;
    const email = session.email ?? demo.customers[0]?.email;
    if (!email) return undefined;
    const left = session.token ? (session.expiresAt - Date.now()) * 0.8 : 0;
    const wait = error ? 10_000 : Math.max(0, left);
    const timer = setTimeout(() => enter(email), wait);
    return () => clearTimeout(timer);
  }, [session, error, demo.customers, enter]);

  // The token stands in the headers of the tab that is open.
  useEffect(() => {
    if (!headerEditor) return;
    const text = headerEditor.getValue();
    const next = withToken(text, session.token);
    if (next === null || next === text) return;
    headerEditor.setValue(next);
    updateActiveTabValues({ headers: next });
  }, [session, headerEditor, activeTab, updateActiveTabValues]);

  const who = session.token ? session.email : null;
  return (
    <div className="session" data-signed-in={who ?? ''}>
      {error && (
        <span className="session-error" role="alert">
          {error.message}
        </span>
      )}
      <span className={who ? 'session-dot' : 'session-dot session-dot-off'} />
      <span>{who ? 'Signed in as' : 'Not signed in'}</span>
      <select
        aria-label="Demo customer"
        value={chosen}
        onChange={(event) => {
          setChosen(event.target.value);
          if (who) enter(event.target.value);
        }}
      >
        {demo.customers.map(({ email, name }) => (
          <option key={email} value={email}>
            {name ? `${name} · ${email}` : email}
          </option>
        ))}
      </select>
      {who ? (
        <button type="button" className="graphiql-button" onClick={() => keep({ email: session.email, isOut: true })}>
          Sign out
        </button>
      ) : (
        <button
          type="button"
          className="graphiql-button session-enter"
          disabled={isBusy || !chosen}
          onClick={() => enter(chosen)}
        >
          {isBusy ? 'Signing in …' : 'Sign in as demo'}
        </button>
      )}
    </div>
  );
}
