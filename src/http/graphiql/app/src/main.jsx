import './workers.js';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import '@graphiql/plugin-explorer/style.css';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import 'graphiql/style.css';
import { createRoot } from 'react-dom/client';
import { fetcher, optional } from './fetcher.js';
import { Session } from './session.jsx';
import './style.css';

const WELCOME = `# Ask the portal. Completion: Ctrl-Space. Run: Ctrl-Enter.
{
  __typename
}
`;

const [examples, demo] = await Promise.all([optional('./examples.json'), optional('./session.json')]);
const tabs = (Array.isArray(examples) ? examples : []).map(({ query, variables }) => ({
  query,
  variables: variables && JSON.stringify(variables, null, 2),
}));
const plugins = [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })];

createRoot(document.getElementById('root')).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    defaultTabs={tabs.length ? tabs : undefined}
    defaultQuery={WELCOME}
    defaultEditorToolsVisibility="headers"
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>
      {demo?.customers?.length ? <Session demo={demo} /> : <span className="session">portal-gateway</span>}
    </GraphiQL.Logo>
  </GraphiQL>,
);
