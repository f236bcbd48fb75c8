<?php
// As much of WHMCS as a hook file meets: php whmcs.php HOOK_FILE HOOKS, where HOOKS is JSON: [[name, params], …].
// With --names in their place it prints the names of the hooks for which the file has something to do.
error_reporting(E_ALL);
ini_set('display_errors', '1');
define('WHMCS', true);
define('ROOTDIR', getenv('WHMCS_ROOT'));

$registered = [];
function add_hook($name, $priority, $function)
{
    $GLOBALS['registered'][$name][] = $function;
}

if (getenv('WITH_CAPSULE')) {
    // A table answers with a row whose client is 1000 more than its id.
    eval('namespace WHMCS\Database; class Capsule {
        private $id; private $table;
        public static function table($table) { $query = new self(); $query->table = $table; return $query; }
        public function where($key, $id) { $this->id = $id; return $this; }
        public function value($column) {
            if ($this->table === "tblupgrades") { throw new \RuntimeException("no such table"); }
            return $column === "invoiceid" ? "77" : (string) ($this->id + 1000);
        }
    }');
}

require $argv[1];

if ($argv[2] === '--names') {
    echo implode("\n", array_keys($registered));
    exit;
}
foreach (json_decode($argv[2], true) as list($name, $params)) {
    if (isset($params['invoice'])) {
        $params['invoice'] = (object) $params['invoice'];
    }
    foreach ($registered[$name] ?? [] as $function) {
        $returned = $function($params);
        if ($returned !== null) {
            echo 'a hook returned something';
        }
    }
}
